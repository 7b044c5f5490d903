import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository, repositoryName } from '../../test/support/databases.ts';
import type { Digest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import {
  decideDeletions,
  listDeletions,
  listDueBlobs,
  queueUnheld,
  recordDeleted,
  type UnheldBlob,
} from './blob-deletions.ts';
import { linkBlob, listLinksFrom, unlinkBlob } from './blob-links.ts';
import { lockHeld, postponeReview } from './blob-reviews.ts';
import { findBlob, findBlobRow, findBlobRows, heldBlobsByName, recordStored } from './blobs.ts';
import type { Database } from './database.ts';
import { countParked, parkBlob, parkBlobs } from './parked-blobs.ts';
import type { Db } from './prepare.ts';
import { findOrCreateRepository } from './repositories.ts';

const other = parseName('other');
const digest = digestNumber(1);

/** Records blobs of one repository at time 100. */
async function withBlobs(database: Database, digests: readonly Digest[] = [digest]): Promise<number> {
  const repository = await makeRepository(database);
  await database.transaction(async (db) => {
    for (const each of digests) {
      await recordStored(db, { digest: each, size: 5, generation: 0 }, 100);
      await linkBlob(db, repository, each, 100);
    }
  });
  return repository;
}

/** Removes the blob from the repository. */
async function release(database: Database, repository: number, digest: Digest, now: number): Promise<void> {
  await database.transaction(async (db) => {
    await unlinkBlob(db, repository, digest);
    await queueUnheld(db, [digest], now);
  });
}

async function decide(database: Database, reviewed: number, parked = reviewed) {
  const decided = await database.transaction((db) => decideDeletions(db, [digest], { reviewed, parked }));
  return decided.map((blob) => ({ ...blob }));
}

async function stateOf(database: Database, digest: Digest) {
  const { size, generation, state, parked_at } = (await findBlobRow(database.read, digest))!;
  return { size, generation, state, parked_at };
}

for (const { name, open } of dialects) {
  test(`${name}: finds a blob only in the repository that holds it`, async (t) => {
    const database = await open(t);
    const { read } = database;
    const repository = await withBlobs(database);
    const elsewhere = await makeRepository(database, other);
    assert.deepEqual(
      { ...(await findBlob(read, repositoryName, digest)) },
      {
        size: 5,
        generation: 0,
        repository_id: repository,
        visibility: 'private',
        review_at: 100,
        damaged_at: null,
      },
    );
    assert.equal(await findBlob(read, other, digest), undefined);
    assert.equal(await findBlob(read, repositoryName, digestNumber(2)), undefined);
    const held = (repository: number, digests: Digest[]) =>
      database.transaction((db) => lockHeld(db, repository, digests));
    assert.deepEqual(await held(repository, [digest, digestNumber(2)]), new Set([digest]));
    assert.deepEqual(await held(elsewhere, [digest]), new Set());
  });

  test(`${name}: finds the rows of many blobs, and those that a repository holds`, async (t) => {
    const database = await open(t);
    const digests = Array.from({ length: 2_100 }, (_, i) => digestNumber(i));
    await withBlobs(database, digests.slice(1));
    const { read } = database;
    const rows = await findBlobRows(read, digests);
    assert.deepEqual([rows.size, rows.has(digestNumber(0))], [2_099, false]);
    assert.deepEqual(
      { ...rows.get(digestNumber(2_099)) },
      { digest: digestNumber(2_099), size: 5, generation: 0, state: 'stored' },
    );
    assert.equal((await heldBlobsByName(read, repositoryName, digests)).size, 2_099);
    assert.equal((await heldBlobsByName(read, other, digests)).size, 0);
  });

  test(`${name}: parks many blobs, and corrects the size of parked ones only`, async (t) => {
    const database = await open(t);
    await withBlobs(database, [digestNumber(1)]);
    const park = (...numbers: number[]) =>
      database.transaction((db) =>
        parkBlobs(
          db,
          numbers.map((number) => ({ digest: digestNumber(number), size: number * 10 })),
          200,
        ),
      );
    await database.transaction((db) =>
      parkBlob(db, { digest: digestNumber(2), size: 1, generation: 0 }, 100),
    );
    await database.transaction((db) =>
      parkBlob(db, { digest: digestNumber(3), size: 1, generation: 1 }, 100),
    );
    await park(1, 2, 3, 4);
    const rowOf = (number: number) => stateOf(database, digestNumber(number));
    assert.deepEqual(await rowOf(1), { size: 5, generation: 0, state: 'stored', parked_at: null });
    assert.deepEqual(await rowOf(2), { size: 20, generation: 0, state: 'stored', parked_at: 100 });
    assert.deepEqual(await rowOf(3), { size: 1, generation: 1, state: 'stored', parked_at: 100 });
    assert.deepEqual(await rowOf(4), { size: 40, generation: 0, state: 'stored', parked_at: 200 });
  });

  test(`${name}: lists the same number of links for any digest, its own first`, async (t) => {
    const database = await open(t);
    await withBlobs(database, [1, 3, 5].map(digestNumber));
    const elsewhere = await makeRepository(database, other);
    await database.transaction((db) => linkBlob(db, elsewhere, digestNumber(3), 100));
    const links = async (n: number, limit: number) =>
      (await listLinksFrom(database.read, digestNumber(n), limit)).map(
        ({ name, digest, state }) => `${Number(digest.slice(-1))} ${name} ${state}`,
      );
    const three = [`3 ${other} stored`, `3 ${repositoryName} stored`];
    assert.deepEqual((await links(3, 2)).sort(), three.sort());
    for (const n of [1, 2, 3, 4, 5, 6]) {
      assert.equal((await links(n, 3)).length, 3, `from ${n}`);
      assert.equal((await links(n, 10)).length, 4, `from ${n}, all`);
    }
    assert.deepEqual(await links(6, 1), [`1 ${repositoryName} stored`], 'from the beginning again');
  });

  test(`${name}: unlinks a blob from one repository only`, async (t) => {
    const database = await open(t);
    const repository = await withBlobs(database);
    const elsewhere = await makeRepository(database, other);
    await database.transaction((db) => linkBlob(db, elsewhere, digest, 100));
    await database.transaction((db) => linkBlob(db, elsewhere, digest, 100));
    const unlink = () => database.transaction((db) => unlinkBlob(db, repository, digest));
    assert.deepEqual([await unlink(), await unlink()], [true, false]);
    assert.equal(await findBlob(database.read, repositoryName, digest), undefined);
    assert.ok(await findBlob(database.read, other, digest));
  });

  test(`${name}: lists blobs that no repository holds, those that wait longest first`, async (t) => {
    const database = await open(t);
    const repository = await withBlobs(database, [3, 1, 2, 4].map(digestNumber));
    const elsewhere = await makeRepository(database, other);
    await database.transaction((db) => linkBlob(db, elsewhere, digestNumber(4), 100));
    for (const n of [1, 2, 3, 4]) await release(database, repository, digestNumber(n), 300 - n);
    const due = async (before: number, after?: UnheldBlob, limit = 10) =>
      (await listDueBlobs(database.read, before, after, limit)).map((blob) => blob.digest);
    assert.deepEqual(await due(297), []);
    assert.deepEqual(await due(298), [digestNumber(3)]);
    assert.deepEqual(await due(300), [3, 2, 1].map(digestNumber), 'another repository holds the fourth');
    assert.deepEqual(await due(300, { digest: digestNumber(3), unheld_at: 297 }, 1), [digestNumber(2)]);
  });

  const interests: Record<string, (db: Db) => Promise<unknown>> = {
    'bytes that come again': (db: Db) => recordStored(db, { digest, size: 5, generation: 0 }, 300),
    'a mount': async (db: Db) => linkBlob(db, await findOrCreateRepository(db, other, 1), digest, 300),
  };
  for (const [what, show] of Object.entries(interests)) {
    test(`${name}: ${what} prevents the deletion of a blob`, async (t) => {
      const database = await open(t);
      const repository = await withBlobs(database);
      await release(database, repository, digest, 100);
      assert.notEqual(await database.transaction(show), false);
      assert.deepEqual(await decide(database, 200), []);
      assert.deepEqual(await listDeletions(database.read, '', 10), []);
    });
  }

  test(`${name}: a blob leaves the queue when a repository holds it, and waits when it was needed later`, async (t) => {
    const database = await open(t);
    const [held, needed, parked] = [1, 2, 3].map(digestNumber) as [Digest, Digest, Digest];
    const repository = await withBlobs(database, [held, needed]);
    await release(database, repository, held, 100);
    await release(database, repository, needed, 100);
    await database.transaction(async (db) => {
      await linkBlob(db, repository, held, 100);
      await postponeReview(db, needed, 500);
      await parkBlob(db, { digest: parked, size: 5, generation: 0 }, 150);
    });
    const due = { reviewed: 400, parked: 100 };
    await database.transaction((db) => decideDeletions(db, [held, needed, parked], due));
    assert.deepEqual(
      (await listDueBlobs(database.read, 1e9, undefined, 10)).map((blob) => ({ ...blob })),
      [
        // 300 longer than others, as its two times differ by that.
        { digest: parked, unheld_at: 450 },
        { digest: needed, unheld_at: 500 },
      ],
    );
  });

  test(`${name}: does not decide to delete a held blob, however old`, async (t) => {
    const database = await open(t);
    await withBlobs(database);
    assert.deepEqual(await decide(database, 1e15), []);
    assert.ok(await findBlob(database.read, repositoryName, digest));
  });

  test(`${name}: a deletion is decided once, then completed; new bytes go to the next generation`, async (t) => {
    const database = await open(t);
    const repository = await withBlobs(database);
    await database.transaction((db) => unlinkBlob(db, repository, digest));
    assert.deepEqual([await decide(database, 200), await decide(database, 200)], [[{ digest, size: 5 }], []]);
    assert.deepEqual(await stateOf(database, digest), {
      size: 5,
      generation: 1,
      state: 'deleting',
      parked_at: null,
    });
    assert.deepEqual(
      (await listDeletions(database.read, '', 10)).map((blob) => ({ ...blob })),
      [{ digest, generation: 1, size: 5 }],
    );
    // A deleted blob is not found, even in a repository linked later.
    await database.transaction((db) => linkBlob(db, repository, digest, 300));
    assert.equal(await findBlob(database.read, repositoryName, digest), undefined);
    assert.deepEqual(
      (await listLinksFrom(database.read, digest, 10)).map(({ state }) => state),
      ['deleting'],
    );
    assert.deepEqual(await database.transaction((db) => lockHeld(db, repository, [digest])), new Set());
    await database.transaction((db) => recordDeleted(db, digest, 1));
    assert.deepEqual(await listDeletions(database.read, '', 10), []);
    assert.equal((await findBlobRow(database.read, digest))?.state, 'deleted');
    await database.transaction((db) => recordStored(db, { digest, size: 5, generation: 1 }, 400));
    assert.deepEqual(
      { ...(await findBlob(database.read, repositoryName, digest)) },
      {
        size: 5,
        generation: 1,
        repository_id: repository,
        visibility: 'private',
        review_at: 300,
        damaged_at: null,
      },
    );
  });

  test(`${name}: bytes whose deletion is decided can be neither recorded under their old key nor postponed`, async (t) => {
    const database = await open(t);
    const repository = await withBlobs(database);
    await database.transaction((db) => unlinkBlob(db, repository, digest));
    assert.ok(await database.transaction((db) => postponeReview(db, digest, 150)));
    await decide(database, 200);
    const record = (generation: number) =>
      database.transaction((db) => recordStored(db, { digest, size: 5, generation }, 300));
    assert.equal(await record(0), undefined);
    assert.equal(await database.transaction((db) => postponeReview(db, digest, 300)), undefined);
    assert.equal((await findBlobRow(database.read, digest))?.state, 'deleting');
    assert.ok(await record(1));
    assert.ok(await database.transaction((db) => postponeReview(db, digest, 300)));
  });

  test(`${name}: a late recordDeleted does not affect bytes stored meanwhile`, async (t) => {
    const database = await open(t);
    const repository = await withBlobs(database);
    await database.transaction((db) => unlinkBlob(db, repository, digest));
    await decide(database, 200);
    await database.transaction((db) => recordStored(db, { digest, size: 5, generation: 1 }, 300));
    await database.transaction((db) => recordDeleted(db, digest, 1));
    assert.equal((await findBlobRow(database.read, digest))?.state, 'stored');
  });

  test(`${name}: parks bytes without a row, unless there is a row by then`, async (t) => {
    const database = await open(t);
    const park = (digest: Digest, generation: number) =>
      database.transaction((db) => parkBlob(db, { digest, size: 5, generation }, 100));
    assert.deepEqual([await park(digest, 4), await park(digest, 4)], [true, false]);
    assert.deepEqual(await stateOf(database, digest), {
      size: 5,
      generation: 4,
      state: 'stored',
      parked_at: 100,
    });
    assert.equal(await countParked(database.read), 1);
    await database.transaction((db) =>
      recordStored(db, { digest: digestNumber(2), size: 1, generation: 0 }, 1),
    );
    assert.equal(await park(digestNumber(2), 0), false);
  });

  test(`${name}: a parked blob is due by its parking time, not by its review`, async (t) => {
    const database = await open(t);
    await database.transaction((db) => parkBlob(db, { digest, size: 5, generation: 0 }, 100));
    const due = (parked: number) => decide(database, 1e9, parked);
    assert.deepEqual([await due(100), await due(101)], [[], [{ digest, size: 5 }]]);
    assert.equal(await countParked(database.read), 0);
  });

  test(`${name}: a push makes a parked blob an ordinary one`, async (t) => {
    const database = await open(t);
    await database.transaction((db) => parkBlob(db, { digest, size: 5, generation: 0 }, 100));
    const stored = await database.transaction((db) =>
      recordStored(db, { digest, size: 5, generation: 0 }, 200),
    );
    assert.deepEqual([stored !== undefined, await countParked(database.read)], [true, 0]);
  });
}
