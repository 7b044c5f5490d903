import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  dialects,
  digestNumber,
  insertNewManifest,
  makeRepository,
  repositoryName,
} from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import { parseTag, type Tag } from '../oci/reference.ts';
import type { Database } from './database.ts';
import { deleteTag, deleteTagsOf, findTag, findTags, listTags, moveTag } from './tags.ts';

async function manifests(database: Database, repository: number): Promise<[number, number]> {
  const manifest = {
    mediaType: 'a/b',
    bytes: Buffer.alloc(0),
    subject: null,
    artifactType: null,
    annotations: null,
  };
  return database.transaction(async (db) => [
    await insertNewManifest(db, { ...manifest, repository, digest: digestNumber(1) }, 1),
    await insertNewManifest(db, { ...manifest, repository, digest: digestNumber(2) }, 1),
  ]);
}

for (const { name, open } of dialects) {
  test(`${name}: a tag points to the manifest that it was last moved to, in its repository only`, async (t) => {
    const database = await open(t);
    const { read } = database;
    const repository = await makeRepository(database);
    const other = await makeRepository(database, parseName('other'));
    const [first, second] = await manifests(database, repository);
    const v1 = parseTag('v1');
    assert.equal(await findTag(read, repository, v1), undefined);
    for (const [id, digest] of [
      [first, digestNumber(1)],
      [second, digestNumber(2)],
    ] as const) {
      await database.transaction((db) => moveTag(db, repository, v1, id, 1));
      assert.deepEqual({ ...(await findTag(read, repository, v1)) }, { id, digest });
    }
    assert.equal(await findTag(read, other, v1), undefined);
    assert.deepEqual(await listTags(read, repositoryName, '', 10), ['v1']);
    assert.deepEqual(await listTags(read, parseName('other'), '', 10), []);
  });

  test(`${name}: finds several tags with the times of their last moves`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const [first, second] = await manifests(database, repository);
    const [a, b, c] = ['a', 'b', 'c'].map(parseTag) as [Tag, Tag, Tag];
    await database.transaction(async (db) => {
      await moveTag(db, repository, a, first, 5);
      await moveTag(db, repository, b, second, 6);
    });
    const found = await findTags(database.read, repository, [b, c]);
    assert.deepEqual(
      found.map((tag) => ({ ...tag })),
      [{ name: 'b', digest: digestNumber(2), updated_at: 6 }],
    );
  });

  test(`${name}: deletes one tag, or all tags of a manifest`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const [first, second] = await manifests(database, repository);
    await database.transaction(async (db) => {
      for (const tag of ['a', 'b', 'c']) await moveTag(db, repository, parseTag(tag), first, 1);
      await moveTag(db, repository, parseTag('d'), second, 1);
    });
    const remove = (tag: string) => database.transaction((db) => deleteTag(db, repository, parseTag(tag)));
    assert.deepEqual([await remove('a'), await remove('a'), await remove('A')], [true, false, false]);
    assert.deepEqual(await listTags(database.read, repositoryName, '', 10), ['b', 'c', 'd']);
    await database.transaction((db) => deleteTagsOf(db, first));
    assert.deepEqual(await listTags(database.read, repositoryName, '', 10), ['d']);
  });

  test(`${name}: lists tags in byte order, each once over all pages`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const [manifest] = await manifests(database, repository);
    const tag = fc.string({ unit: fc.constantFrom(...'aAbZ09_.-'), minLength: 1, maxLength: 6 });
    const random = fc.sample(fc.uniqueArray(tag, { minLength: 200, maxLength: 200 }), {
      numRuns: 1,
      seed: 7,
    })[0];
    const tags = ['v1', 'v1.0', 'v1-a', 'v1_a', 'V1', 'v10', 'v2', ...(random as string[])] as Tag[];
    await database.transaction(async (db) => {
      for (const text of tags) await moveTag(db, repository, text, manifest, 1);
    });
    const sorted = [...new Set(tags)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(await listTags(database.read, repositoryName, '', 1000), sorted);
    for (const size of [1, 7]) {
      const walked: string[] = [];
      for (let page: string[] = []; walked.length === 0 || page.length === size; ) {
        page = await listTags(database.read, repositoryName, walked.at(-1) ?? '', size);
        walked.push(...page);
      }
      assert.deepEqual(walked, sorted);
    }
    assert.deepEqual(await listTags(database.read, repositoryName, '', 0), []);
  });

  test(`${name}: stores SQL injection attempts as text`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const [manifest] = await manifests(database, repository);
    const hostile = [
      "'; drop table tags; --",
      '\\',
      '$1',
      '?',
      '%',
      '_',
      '"',
      "' or '1'='1",
      'ä\u{1f600}',
    ] as Tag[];
    for (const tag of hostile) {
      await database.transaction((db) => moveTag(db, repository, tag, manifest, 1));
      assert.equal((await findTag(database.read, repository, tag))?.id, manifest);
    }
    assert.equal((await listTags(database.read, repositoryName, '', 100)).length, hostile.length);
    assert.equal(await findTag(database.read, repository, 'x' as Tag), undefined, '% and _ are no wildcards');
    for (const tag of hostile) {
      assert.equal(await database.transaction((db) => deleteTag(db, repository, tag)), true);
    }
  });
}
