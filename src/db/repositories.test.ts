import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dialects,
  digestNumber,
  insertNewManifest,
  makeOrganisation,
  makeRepository,
  makeUser,
} from '../../test/support/databases.ts';
import { deleteEmptyRepositories } from '../core/delete-repository.ts';
import { type Namespace, parseName, type RepositoryName } from '../oci/name.ts';
import { linkBlob } from './blob-links.ts';
import { recordStored } from './blobs.ts';
import type { Database } from './database.ts';
import { insertIdentity, renameIdentity } from './identities.ts';
import { deleteManifest } from './manifests.ts';
import { findOrCreateRepository, findRepository, freeNamespaces, repositoriesInUse } from './repositories.ts';
import { everyName, listInRange } from './repository-ranges.ts';
import { insertUpload } from './uploads.ts';

/** Names of the repositories with a manifest among the first `limit` after `after`. */
async function shownNames(database: Database, after: string, limit: number): Promise<string[]> {
  const rows = await listInRange(database.read, everyName, after, limit);
  return rows.filter(({ shown }) => shown).map(({ name }) => name);
}

const manifest = {
  digest: digestNumber(1),
  mediaType: 'a/b',
  bytes: Buffer.from('{}'),
  subject: null,
  artifactType: null,
  annotations: null,
};

for (const { name, open } of dialects) {
  test(`${name}: a repository is created once and keeps its id`, async (t) => {
    const database = await open(t);
    const a = parseName('a');
    assert.equal(await findRepository(database.read, a), undefined);
    const id = await makeRepository(database, a);
    assert.equal(await makeRepository(database, a), id);
    assert.equal(await findRepository(database.read, a), id);
    assert.notEqual(await makeRepository(database, parseName('b')), id);
  });

  test(`${name}: concurrent creations of a repository create one`, async (t) => {
    const database = await open(t);
    const ids = await Promise.all(Array.from({ length: 50 }, () => makeRepository(database, parseName('a'))));
    assert.equal(new Set(ids).size, 1);
  });

  test(`${name}: lists repositories with manifests in byte order, page by page`, async (t) => {
    const database = await open(t);
    // '/' (0x2f) sorts between '-' and '0', unlike in linguistic collations.
    const names = ['a', 'a-b', 'a.b', 'a/b', 'a0', 'a_b', 'b'].map(parseName);
    for (const repository of [...names].reverse()) {
      const id = await makeRepository(database, repository);
      await database.transaction((db) => insertNewManifest(db, { ...manifest, repository: id }, 1));
    }
    await makeRepository(database, parseName('empty'));
    assert.deepEqual(await shownNames(database, '', 100), names);
    const walked: string[] = [];
    for (let last = ''; ; ) {
      const page = await listInRange(database.read, everyName, last, 2);
      walked.push(...page.filter(({ shown }) => shown).map((row) => row.name));
      if (page.length < 2) break;
      last = page[1]?.name as string;
    }
    assert.deepEqual(walked, names);
    assert.deepEqual(await shownNames(database, 'a.zzz', 1), ['a/b']);
    assert.deepEqual(await shownNames(database, 'zzz', 10), []);
  });

  test(`${name}: a repository without manifests is not listed, but still exists`, async (t) => {
    const database = await open(t);
    const id = await makeRepository(database, parseName('a'));
    const held = await database.transaction((db) =>
      insertNewManifest(db, { ...manifest, repository: id }, 1),
    );
    await database.transaction((db) => deleteManifest(db, held, 1));
    assert.deepEqual(await shownNames(database, '', 10), []);
    assert.equal(await findRepository(database.read, parseName('a')), id);
  });

  test(`${name}: repositoriesInUse returns those with a manifest or an open upload`, async (t) => {
    const database = await open(t);
    const used = ['acme', 'acme-b/x', 'acme/a', 'acme/b/c', 'acme/z', 'acme0/x', 'acmea/x', 'b/acme/x'];
    for (const repository of used) {
      const id = await makeRepository(database, parseName(repository));
      await database.transaction((db) => insertNewManifest(db, { ...manifest, repository: id }, 1));
    }
    const uploading = await makeRepository(database, parseName('acme/up'));
    const upload = {
      id: 'u',
      repository: uploading,
      algorithm: 'sha256',
      digest: digestNumber(1),
      owner: '',
    } as const;
    await database.transaction((db) => insertUpload(db, upload, 1));
    await makeRepository(database, parseName('acme/empty'));
    const of = (namespace: string, limit: number) =>
      repositoriesInUse(database.read, namespace as Namespace, limit);
    assert.deepEqual(await of('acme', 10), { count: 4, names: ['acme/a', 'acme/b/c', 'acme/up', 'acme/z'] });
    assert.deepEqual(await of('acme', 2), { count: 4, names: ['acme/a', 'acme/b/c'] });
    assert.deepEqual(await of('acm', 2), { count: 0, names: [] });
  });

  test(`${name}: freeNamespaces returns those without an owner and manifests`, async (t) => {
    const database = await open(t);
    const names = ['a.b', 'account', 'empty', 'full', 'ful', 'uploading', 'unknown', 'zz'] as Namespace[];
    await makeOrganisation(database, 'account');
    await makeRepository(database, parseName('empty/app'));
    const full = await makeRepository(database, parseName('full/app'));
    const uploading = await makeRepository(database, parseName('uploading/app'));
    const upload = { id: 'u', algorithm: 'sha256', digest: digestNumber(1), owner: 'a' } as const;
    await database.transaction(async (db) => {
      await insertNewManifest(db, { ...manifest, repository: full }, 1);
      await insertUpload(db, { ...upload, repository: uploading }, 1);
    });
    const alice = await makeUser(database, 'alice');
    await database.transaction(async (db) => {
      const identity = await insertIdentity(db, 'https://sso.example', 's-1', alice);
      await renameIdentity(db, identity, 'zz');
    });
    const free = async (user: number) => [...(await freeNamespaces(database.read, names, user))].sort();
    assert.deepEqual(await free(alice), ['a.b', 'empty', 'ful', 'unknown', 'uploading', 'zz']);
    assert.deepEqual(await free(alice + 1), ['a.b', 'empty', 'ful', 'unknown', 'uploading'], 'alice owns zz');
    assert.deepEqual(await freeNamespaces(database.read, [], alice), new Set());
  });

  test(`${name}: deletes a namespace's empty repositories with their rows, and no others`, async (t) => {
    const database = await open(t);
    const ids = new Map<string, number>();
    for (const repository of ['acme/empty', 'acme/full', 'other/empty']) {
      const id = await makeRepository(database, parseName(repository));
      ids.set(repository, id);
      await database.transaction(async (db) => {
        await recordStored(db, { digest: digestNumber(1), size: 1, generation: 1 }, 1);
        await linkBlob(db, id, digestNumber(1), 1);
      });
    }
    const full = ids.get('acme/full') as number;
    await database.transaction((db) => insertNewManifest(db, { ...manifest, repository: full }, 1));
    await database.transaction((db) => deleteEmptyRepositories(db, 'acme' as Namespace, 1));
    const holders = await database.read.selectFrom('repository_blobs').select('repository_id').execute();
    assert.deepEqual(
      holders.map(({ repository_id }) => repository_id),
      [full, ids.get('other/empty')],
    );
    assert.notEqual(await makeRepository(database, parseName('acme/empty')), ids.get('acme/empty'));
    assert.equal(await findRepository(database.read, parseName('acme/full')), full);
  });

  test(`${name}: stores SQL injection attempts as text`, async (t) => {
    const database = await open(t);
    // Parsers reject these names; queries must be safe without them.
    for (const text of ["'; drop table repositories; --", 'a"b', '\\', '$1', '?', '%', "' or '1'='1"]) {
      const name = text as RepositoryName;
      assert.equal(await findRepository(database.read, name), undefined);
      const id = await database.transaction((db) => findOrCreateRepository(db, name, 1));
      assert.equal(await findRepository(database.read, name), id);
      assert.deepEqual(await shownNames(database, text, 10), []);
    }
  });
}
