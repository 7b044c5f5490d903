import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository, repositoryName } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import type { Database } from './database.ts';
import {
  countUploads,
  deleteUpload,
  findUpload,
  giveBackUploadLease,
  insertUpload,
  type KeptLease,
  leaseUpload,
  listExpiredUploads,
  moveStaged,
  notKept,
  releaseUpload,
  releaseUploadLeases,
  renewUploadLease,
  uploadExists,
} from './uploads.ts';

const id = '6f1c0a52-6f0b-4a7c-9a3e-2f1f3d5b7c99';
const digest = digestNumber(1);
const owner = 'user:1';

/** Opens a session at time 100. */
async function withUpload(
  database: Database,
  given: { id?: string; lease?: KeptLease } = {},
): Promise<number> {
  const repository = await makeRepository(database);
  await database.transaction((db) =>
    insertUpload(db, { id, repository, algorithm: 'sha256', digest, owner, ...given }, 100),
  );
  return repository;
}

/** Takes the session's lease after reading its current writer. */
async function takeLease(database: Database, writer: string, now: number, until = now + 50) {
  const before = (await findUpload(database.read, { name: repositoryName, id, owner }))?.writer ?? null;
  return database.transaction((db) => leaseUpload(db, id, { before, writer, until, now }));
}

for (const { name, open } of dialects) {
  test(`${name}: finds a session in its repository, for its owner only`, async (t) => {
    const database = await open(t);
    const repository_id = await withUpload(database);
    await makeRepository(database, parseName('other'));
    const session = {
      ...{
        id,
        repository_id,
        algorithm: 'sha256',
        size: 0,
        digest,
        staged: '',
        writer: null,
        writer_until: 0,
      },
      principal: owner,
      charged_to: owner,
    };
    assert.deepEqual({ ...(await findUpload(database.read, { name: repositoryName, id, owner })) }, session);
    assert.equal(await findUpload(database.read, { name: parseName('other'), id, owner }), undefined);
    assert.equal(
      await findUpload(database.read, { name: repositoryName, id: id.replace('6', '7'), owner }),
      undefined,
    );
    assert.equal(await findUpload(database.read, { name: repositoryName, id, owner: 'user:2' }), undefined);
    assert.deepEqual([await uploadExists(database.read, id), await countUploads(database.read)], [true, 1]);
  });

  test(`${name}: a session has one writer at a time, until its lease expires`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    assert.equal((await takeLease(database, 'a', 1000))?.id, id);
    assert.equal(await takeLease(database, 'b', 1050), undefined);
    assert.equal(
      await takeLease(database, 'a', 1050),
      undefined,
      'nor does the same writer take it again: a writer is one request',
    );
    assert.equal((await takeLease(database, 'b', 1051))?.id, id);
  });

  test(`${name}: a lease with an implausibly late end, written by a wrong clock, can be taken over`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    await takeLease(database, 'a', 1e9);
    assert.equal((await takeLease(database, 'b', 1000))?.id, id);
    assert.equal(await takeLease(database, 'c', 1000), undefined);
  });

  test(`${name}: taking a session over requires its current writer`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    await takeLease(database, 'a', 1000);
    const take = (before: string | null) =>
      database.transaction((db) => leaseUpload(db, id, { before, writer: 'c', until: 3000, now: 2000 }));
    assert.equal(await take(null), undefined);
    assert.equal(await take('b'), undefined);
    assert.equal((await take('a'))?.id, id);
  });

  test(`${name}: only the writer can move the staged bytes`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    await takeLease(database, 'a', 1000);
    const move = (writer: string, staged: string) =>
      database.transaction((db) => moveStaged(db, { id, writer, staged }));
    assert.deepEqual([await move('a', 'here'), await move('b', 'there')], [true, false]);
    assert.equal((await findUpload(database.read, { name: repositoryName, id, owner }))?.staged, 'here');
  });

  test(`${name}: one of many concurrent writers gets the lease`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    const taken = await Promise.all(Array.from({ length: 20 }, (_, i) => takeLease(database, `w${i}`, 1000)));
    assert.equal(taken.filter((row) => row !== undefined).length, 1);
  });

  test(`${name}: only the writer can renew its lease`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    await takeLease(database, 'a', 1000);
    const renew = (writer: string) =>
      database.transaction((db) =>
        renewUploadLease(db, id, { writer, until: 2000, now: 1040, receiving: 0 }),
      );
    assert.deepEqual([await renew('a'), await renew('b')], [true, false]);
    assert.equal(await takeLease(database, 'b', 1999), undefined);
    await takeLease(database, 'b', 2001);
    assert.equal(await renew('a'), false, 'taken over');
  });

  test(`${name}: a release records progress, but not after the lease was lost`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    await takeLease(database, 'a', 1000);
    const release = (writer: string, size: number) =>
      database.transaction((db) =>
        releaseUpload(
          db,
          { id, writer, size, digest: digestNumber(size), algorithm: 'sha512', staged: `at ${size}` },
          { now: 1100, ...notKept },
        ),
      );
    assert.deepEqual(
      [await release('b', 7), await release('a', 5), await release('a', 6)],
      [false, true, false],
    );
    const row = await findUpload(database.read, { name: repositoryName, id, owner });
    assert.deepEqual(
      [row?.size, row?.digest, row?.algorithm, row?.staged],
      [5, digestNumber(5), 'sha512', 'at 5'],
    );
    assert.ok(await takeLease(database, 'b', 1101), 'free again');
  });

  test(`${name}: a process can keep the lease after a request, until another one takes it`, async (t) => {
    const database = await open(t);
    await withUpload(database, { lease: { kept: 'a', until: 1000 } });
    const release = (writer: string, until: number) =>
      database.transaction((db) =>
        releaseUpload(
          db,
          { id, writer, size: 1, digest, algorithm: 'sha256', staged: '' },
          { now: 900, kept: writer, until },
        ),
      );
    assert.equal(await takeLease(database, 'b', 1000), undefined);
    assert.deepEqual([await release('b', 1100), await release('a', 1100)], [false, true]);
    assert.equal(await takeLease(database, 'b', 1100), undefined);
    assert.ok(await takeLease(database, 'b', 1101));
    assert.equal(await release('a', 1200), false);
    await database.transaction((db) =>
      giveBackUploadLease(db, { id, writer: 'b' }, { now: 1100, kept: 'b', until: 1200 }),
    );
    assert.equal(await takeLease(database, 'c', 1200), undefined);
    assert.ok(await takeLease(database, 'c', 1201));
  });

  test(`${name}: only the writer can delete a session`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    await takeLease(database, 'a', 1000);
    const end = (writer: string) => database.transaction((db) => deleteUpload(db, id, writer));
    assert.deepEqual([await end('b'), await end('a'), await end('a')], [false, true, false]);
    assert.equal(await findUpload(database.read, { name: repositoryName, id, owner: 'user:2' }), undefined);
    assert.deepEqual([await uploadExists(database.read, id), await countUploads(database.read)], [false, 0]);
  });

  test(`${name}: unused sessions expire, oldest first, but never with a writer`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    const older = id.replace('6', '5');
    await withUpload(database, { id: older });
    const expired = async (before: number, now: number, limit = 10) =>
      (await listExpiredUploads(database.read, before, now, limit)).map((upload) => upload.id);
    assert.deepEqual(await expired(100, 5000), []);
    assert.deepEqual((await expired(101, 5000)).sort(), [older, id]);
    await takeLease(database, 'a', 1000, 1050);
    assert.deepEqual(await expired(101, 5000), [older]);
    assert.deepEqual(await expired(1001, 1040), [older], 'being written to');
    assert.deepEqual(await expired(1001, 1051), [older, id]);
    assert.deepEqual(await expired(1001, 1051, 1), [older]);
  });

  test(`${name}: releaseUploadLeases releases the leases of a dead process`, async (t) => {
    const database = await open(t);
    await withUpload(database);
    await takeLease(database, 'a', 1000, 1e15);
    await database.transaction((db) => releaseUploadLeases(db));
    assert.ok(await takeLease(database, 'b', 1001));
  });
}
