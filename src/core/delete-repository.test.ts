import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { dialects, digestNumber, insertNewManifest, makeRepository } from '../../test/support/databases.ts';
import { listDueBlobs } from '../db/blob-deletions.ts';
import { linkBlob } from '../db/blob-links.ts';
import { recordStored } from '../db/blobs.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { insertReferences } from '../db/manifests.ts';
import { findOrCreateRepository, findRepository } from '../db/repositories.ts';
import { moveTag } from '../db/tags.ts';
import { parseName } from '../oci/name.ts';
import { parseTag } from '../oci/reference.ts';
import { deleteRepository, trashRepository } from './delete-repository.ts';

const app = parseName('acme/app');
const tables = [
  'repositories',
  'repository_blobs',
  'manifests',
  'manifest_references',
  'tags',
  'uploads',
] as const;

/** Adds one row of every kind to the repository; the review of the blob is at 1. */
async function fill(database: Database, repository: number): Promise<void> {
  await database.transaction(async (db) => {
    await recordStored(db, { digest: digestNumber(1), size: 1, generation: 0 }, 1);
    await linkBlob(db, repository, digestNumber(1), 1);
    const manifest = { repository, digest: digestNumber(2), mediaType: 'a/b', bytes: Buffer.from('{}') };
    const bare = { subject: null, artifactType: null, annotations: null };
    const id = await insertNewManifest(db, { ...manifest, ...bare }, 1);
    await insertReferences(db, id, 'blob', [digestNumber(1)]);
    await moveTag(db, repository, parseTag('v1'), id, 1);
    const upload = { id: `of ${repository}`, repository_id: repository, algorithm: 'sha256', size: 0 };
    const rest = { digest: digestNumber(3), created_at: 1, updated_at: 1, writer_until: 0, staged: '' };
    await db
      .insertInto('uploads')
      .values({ ...upload, ...rest })
      .execute();
  });
}

async function counts(database: Database): Promise<number[]> {
  const all: number[] = [];
  for (const table of tables) {
    all.push((await database.read.selectFrom(table).selectAll().execute()).length);
  }
  return all;
}

for (const { name, open } of dialects) {
  test(`${name}: deletes a repository with everything in it, and nothing in another repository`, async (t) => {
    const database = await open(t);
    const id = await makeRepository(database, app);
    const other = await makeRepository(database, parseName('acme/app2'));
    await fill(database, id);
    await fill(database, other);
    assert.deepEqual(await counts(database), [2, 2, 2, 2, 2, 2]);
    assert.equal(await database.transaction((db) => deleteRepository(db, id, 5)), true);
    assert.deepEqual(await counts(database), [1, 1, 1, 1, 1, 1]);
    assert.equal(await findRepository(database.read, app), undefined);
    assert.equal(await database.transaction((db) => deleteRepository(db, id, 5)), false);
    assert.notEqual(await makeRepository(database, app), id, 'a new repository with the name has another id');
  });

  test(`${name}: the deletion counts as the review of a blob that only the deleted repository held`, async (t) => {
    const database = await open(t);
    const id = await makeRepository(database, app);
    await fill(database, id);
    const later = 1_000_000;
    await database.transaction((db) => deleteRepository(db, id, later));
    const due = async (before: number) => (await listDueBlobs(database.read, before, undefined, 10)).length;
    assert.deepEqual([await due(later), await due(later + 1)], [0, 1]);
  });

  test(`${name}: a concurrent push goes to the repository before its deletion, or to a new repository after it`, async (t) => {
    const database = await open(t);
    for (let round = 0; round < 5; round++) {
      const id = await makeRepository(database, app);
      await fill(database, id);
      const push = (n: number) =>
        database.transaction(async (db) => {
          const repository = await findOrCreateRepository(db, app, 1);
          await recordStored(db, { digest: digestNumber(n), size: 1, generation: 0 }, 1);
          await linkBlob(db, repository, digestNumber(n), 1);
          return repository;
        });
      const remove = database.transaction((db) => deleteRepository(db, id, 1));
      const pushed = await Promise.all([push(10), push(11), push(12), push(13)]);
      assert.equal(await remove, true);
      const now = await findRepository(database.read, app);
      const held = await database.read.selectFrom('repository_blobs').selectAll().execute();
      assert.ok(held.every(({ repository_id }) => repository_id === now));
      assert.equal(held.length, pushed.filter((repository) => repository !== id).length);
      if (now !== undefined) await database.transaction((db) => deleteRepository(db, now, 1));
    }
  });

  test(`${name}: a deletion into the trash waits for a push that has found the repository`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database, app);
    const ended: string[] = [];
    const found = Promise.withResolvers<void>();
    const push = database.transaction(async (db) => {
      await findOrCreateRepository(db, app, 1);
      found.resolve();
      // Without a lock the deletion would end meanwhile.
      await delay(100);
      ended.push('push');
    });
    await found.promise;
    const deletion = { repository, name: app, by: system, now: 1 };
    const isDeleted = await database.transaction((db) => trashRepository(db, deletion));
    ended.push('deletion');
    await push;
    assert.deepEqual({ isDeleted, ended }, { isDeleted: true, ended: ['push', 'deletion'] });
  });
}
