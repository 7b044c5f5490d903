import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository, repositoryName } from '../../test/support/databases.ts';
import type { Digest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import { parseTag } from '../oci/reference.ts';
import type { Database } from './database.ts';
import {
  deleteManifest,
  ensureManifest,
  findManifestByDigest,
  findManifestByTag,
  findManifestContent,
  findReferring,
  heldManifests,
  insertReferences,
  lockManifestShared,
} from './manifests.ts';
import { moveTag } from './tags.ts';

const other = parseName('other');
const one = digestNumber(1);
const two = digestNumber(2);

function ensure(database: Database, repository: number, digest: Digest, bytes = Buffer.from('{}')) {
  const manifest = { digest, mediaType: 'a/b', bytes, subject: null, artifactType: null, annotations: null };
  return database.transaction((db) => ensureManifest(db, { ...manifest, repository }, 1));
}

async function insert(...given: Parameters<typeof ensure>): Promise<number> {
  return (await ensure(...given)).id;
}

for (const { name, open } of dialects) {
  test(`${name}: finds a manifest by digest and by tag, in its repository only`, async (t) => {
    const database = await open(t);
    const { read } = database;
    const repository = await makeRepository(database);
    await makeRepository(database, other);
    const id = await insert(database, repository, one);
    const v1 = parseTag('v1');
    await database.transaction((db) => moveTag(db, repository, v1, id, 1));
    const row = { id, repository_id: repository, digest: one, size: 2 };
    assert.deepEqual({ ...(await findManifestByDigest(read, repositoryName, one)) }, row);
    assert.deepEqual({ ...(await findManifestByTag(read, repositoryName, v1)) }, row);
    assert.deepEqual(
      { ...(await database.transaction((db) => lockManifestShared(db, repository, one))) },
      { id, media_type: 'a/b' },
    );
    for (const nothing of [
      findManifestByDigest(read, other, one),
      findManifestByDigest(read, repositoryName, two),
      findManifestByTag(read, other, v1),
      findManifestByTag(read, repositoryName, parseTag('V1')),
      database.transaction((db) => lockManifestShared(db, repository + 100, one)),
    ]) {
      assert.equal(await nothing, undefined);
    }
  });

  for (const [what, bytes] of [
    ['any bytes', Buffer.from([0, 0xff, 0x27, 0x0a, 0xc0])],
    ['no bytes', Buffer.alloc(0)],
    ['4 MiB', Buffer.alloc(4 << 20, 7)],
  ] as const) {
    test(`${name}: returns a manifest of ${what} unchanged`, async (t) => {
      const database = await open(t);
      const id = await insert(database, await makeRepository(database), one, bytes);
      const content = await findManifestContent(database.read, id);
      assert.ok(bytes.equals(content?.bytes as Uint8Array));
      assert.deepEqual([content?.size, content?.media_type, content?.digest], [bytes.length, 'a/b', one]);
    });
  }

  test(`${name}: a repository cannot have a manifest twice`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const inserted = await ensure(database, repository, one);
    assert.equal(inserted.isNew, true);
    assert.deepEqual({ ...(await ensure(database, repository, one)) }, { ...inserted, isNew: false });
    const elsewhere = await ensure(database, await makeRepository(database, other), one);
    assert.ok(elsewhere.isNew && elsewhere.id !== inserted.id);
  });

  test(`${name}: concurrent pushes insert a manifest once`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const pushed = await Promise.all(Array.from({ length: 8 }, () => ensure(database, repository, one)));
    assert.equal(new Set(pushed.map(({ id }) => id)).size, 1);
    assert.equal(pushed.filter(({ isNew }) => isNew).length, 1);
  });

  test(`${name}: ids of deleted manifests are never reused, as caches keep them`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const seen = new Set<number>();
    for (let i = 0; i < 5; i++) {
      const id = await insert(database, repository, one);
      assert.ok(!seen.has(id) && id > Math.max(0, ...seen), `${id} again`);
      seen.add(id);
      await database.transaction((db) => deleteManifest(db, id, 1));
      assert.equal(await findManifestContent(database.read, id), undefined);
    }
  });

  test(`${name}: references are recorded once per digest and deleted with the manifest`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const id = await insert(database, repository, one);
    await database.transaction(async (db) => {
      await insertReferences(db, id, 'blob', [two, two]);
      await insertReferences(db, id, 'child', [two]);
    });
    assert.equal(await findReferring(database.read, repository, two), one);
    assert.equal(await findReferring(database.read, repository, one), undefined);
    assert.equal(await findReferring(database.read, await makeRepository(database, other), two), undefined);
    await database.transaction((db) => deleteManifest(db, id, 1));
    assert.equal(await findReferring(database.read, repository, two), undefined);
  });

  test(`${name}: a tagged manifest cannot be deleted`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const id = await insert(database, repository, one);
    await database.transaction((db) => moveTag(db, repository, parseTag('v1'), id, 1));
    await assert.rejects(
      database.transaction((db) => deleteManifest(db, id, 1)),
      /FOREIGN KEY|foreign key/,
    );
  });

  test(`${name}: heldManifests returns the held ones of any number of digests`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    for (let i = 0; i < 10; i++) await insert(database, repository, digestNumber(i));
    const asked = [...Array.from({ length: 10_000 }, (_, i) => digestNumber(i + 5)), `"'],[\\` as Digest];
    const held = await heldManifests(database.read, repository, asked);
    assert.deepEqual([...held].sort(), [5, 6, 7, 8, 9].map(digestNumber));
    assert.equal((await heldManifests(database.read, repository, [])).size, 0);
    assert.equal((await heldManifests(database.read, repository + 1, asked)).size, 0);
  });
}
