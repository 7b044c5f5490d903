// What garbage collection removes from repositories and deletes: every combination of what decides it, against a plain reading.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dialects,
  digestNumber,
  insertNewManifest,
  makeRepository,
  repositoryName,
} from '../../test/support/databases.ts';
import {
  countDueBlobs,
  decideDeletions,
  findDue,
  listDeletions,
  queueUnheld,
  recordDeleted,
  setBackUnheld,
} from '../db/blob-deletions.ts';
import { linkBlob } from '../db/blob-links.ts';
import {
  type DueLink,
  listDueLinks,
  postponeLinkReview,
  postponeReview,
  postponeReviews,
  queueReviews,
  removeUnneeded,
  setBackReviews,
} from '../db/blob-reviews.ts';
import { recordStored } from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { insertReferences } from '../db/manifests.ts';
import type { Digest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import { type Decide, decideUnheld, findUnneededBlobs, removeUnneededBlobs } from './reclaim.ts';

/** Reviews and deletions before this time are due. */
const before = 1_000;
/** {@link before} for parked blobs. */
const parkedBefore = 600;

/** All combinations of one value of each list. */
function combine<const T extends Record<string, readonly unknown[]>>(
  lists: T,
): { [K in keyof T]: T[K][number] }[] {
  return Object.entries(lists).reduce<object[]>(
    (combined, [name, values]) =>
      combined.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  ) as { [K in keyof T]: T[K][number] }[];
}

interface BlobTimes {
  readonly state?: 'stored' | 'deleting' | 'deleted';
  readonly review?: number;
  readonly unheld?: number | null;
  readonly parked?: number | null;
}

/** Inserts the blob of each number. */
async function insertBlobs(database: Database, blobs: readonly BlobTimes[]): Promise<void> {
  const rows = blobs.map(({ state = 'stored', review = 1, unheld = null, parked = null }, number) => ({
    ...{ digest: digestNumber(number), size: number, generation: 0, state, created_at: 1 },
    ...{ review_at: review, unheld_at: unheld, parked_at: parked, damaged_at: 5 },
  }));
  await database.transaction((db) => db.insertInto('blobs').values(rows).execute());
}

/** Links the blob of each number to the repository, if it has a time or null. */
async function insertLinks(
  database: Database,
  repository: number,
  reviews: readonly (number | null | undefined)[],
): Promise<void> {
  const rows = reviews.flatMap((review, number) =>
    review === undefined
      ? []
      : [
          {
            ...{ repository_id: repository, digest: digestNumber(number), created_at: 1 },
            review_at: review,
          },
        ],
  );
  await database.transaction((db) => db.insertInto('repository_blobs').values(rows).execute());
}

async function insertManifest(
  database: Database,
  repository: number,
  digests: readonly Digest[],
): Promise<void> {
  const content = { mediaType: 'a/b', bytes: Buffer.from('{}'), subject: null, artifactType: null };
  await database.transaction(async (db) => {
    const manifest = { ...content, repository, digest: digestNumber(1e6), annotations: null };
    await insertReferences(db, await insertNewManifest(db, manifest, 1), 'blob', digests);
  });
}

/** For each blob: when the repository reviews it, or undefined if the repository does not hold it. */
async function linksOf(database: Database, repository: number) {
  const rows = await database.read
    .selectFrom('repository_blobs')
    .select(['digest', 'review_at'])
    .where('repository_id', '=', repository)
    .orderBy('digest')
    .execute();
  return new Map(rows.map(({ digest, review_at }) => [digest, review_at]));
}

async function blobsOf(database: Database) {
  const rows = await database.read
    .selectFrom('blobs')
    .select(['digest', 'state', 'generation', 'unheld_at', 'parked_at', 'damaged_at'])
    .orderBy('digest')
    .execute();
  return rows.map(({ digest, ...row }) => row);
}

/** Transactions that `interrupt` precedes, once. */
function deciding(database: Database, interrupt?: () => Promise<unknown>): Decide {
  let next = interrupt;
  return async (work) => {
    const now = next;
    next = undefined;
    await now?.();
    return database.transaction(work);
  };
}

async function removeUnneededOf(database: Database, decide = deciding(database)) {
  const pages = await Array.fromAsync(removeUnneededBlobs(database.read, decide, before));
  return pages.map(({ removed, kept }) => [removed, kept]);
}

const others = parseName('library/other');

for (const { name, open } of dialects) {
  test(`${name}: removes exactly the blobs whose due review finds no manifest of their repository`, async (t) => {
    const database = await open(t);
    const [here, there] = [await makeRepository(database), await makeRepository(database, others)];
    const cases = combine({
      review: [null, before - 1, before],
      needed: [false, true],
      neededThere: [false, true],
      there: [undefined, null, before - 1, before],
    }).map((one, number) => ({ ...one, digest: digestNumber(number) }));
    await insertBlobs(
      database,
      cases.map(() => ({})),
    );
    await insertLinks(
      database,
      here,
      cases.map(({ review }) => review),
    );
    await insertLinks(
      database,
      there,
      cases.map((one) => one.there),
    );
    const digests = (some: typeof cases) => some.map(({ digest }) => digest);
    await insertManifest(database, here, digests(cases.filter(({ needed }) => needed)));
    await insertManifest(database, there, digests(cases.filter(({ neededThere }) => neededThere)));
    const found = (await Array.fromAsync(findUnneededBlobs(database.read, before))).flat();
    const pages = await removeUnneededOf(database);

    const after = (review: number | null | undefined, needed: boolean) =>
      review === before - 1 ? (needed ? null : undefined) : review;
    const [linksHere, linksThere] = [await linksOf(database, here), await linksOf(database, there)];
    const blobs = await blobsOf(database);
    const expected: string[] = [];
    for (const [number, one] of cases.entries()) {
      const { review, needed, neededThere, digest } = one;
      const what = JSON.stringify(one);
      const links = [after(review, needed), after(one.there, neededThere)] as const;
      assert.deepEqual([linksHere.get(digest), linksThere.get(digest)], links, what);
      const isUnheld = links[0] === undefined && links[1] === undefined;
      assert.equal(blobs[number]?.unheld_at, isUnheld ? before - 1 : null, what);
      if (links[0] === undefined) expected.push(`${here} ${digest}`);
      if (links[1] === undefined && one.there !== undefined) expected.push(`${there} ${digest}`);
    }
    assert.deepEqual(
      found.map(({ repository_id, digest }) => `${repository_id} ${digest}`).sort(),
      expected.sort(),
    );
    const due = (one: number | null | undefined) => Number(one === before - 1);
    const links = cases.reduce((sum, one) => sum + due(one.review) + due(one.there), 0);
    assert.deepEqual(pages, [[expected.length, links - expected.length]]);
  });

  test(`${name}: queues exactly the stored ones of the given blobs that no repository holds, once`, async (t) => {
    const database = await open(t);
    const cases = combine({
      state: ['stored', 'deleting'],
      isHeld: [false, true],
      unheld: [null, 5],
      isGiven: [false, true],
    });
    await insertBlobs(database, cases);
    const repository = await makeRepository(database);
    await insertLinks(
      database,
      repository,
      cases.map(({ isHeld }) => (isHeld ? null : undefined)),
    );
    const given = cases.flatMap(({ isGiven }, number) => (isGiven ? [digestNumber(number)] : []));
    await database.transaction((db) => queueUnheld(db, given, 7));
    const blobs = await blobsOf(database);
    for (const [number, { state, isHeld, unheld, isGiven }] of cases.entries()) {
      const isQueued = state === 'stored' && !isHeld && isGiven;
      const expected = unheld ?? (isQueued ? 7 : null);
      assert.equal(blobs[number]?.unheld_at, expected, JSON.stringify(cases[number]));
    }
  });

  test(`${name}: restarts the grace periods of the given blobs only, in one repository only`, async (t) => {
    const database = await open(t);
    const [here, there] = [await makeRepository(database), await makeRepository(database, others)];
    await insertBlobs(database, [{}, {}, {}, { state: 'deleted' }]);
    const [first, second, third, deleted] = [0, 1, 2, 3].map(digestNumber) as [
      Digest,
      Digest,
      Digest,
      Digest,
    ];
    for (const repository of [here, there]) await insertLinks(database, repository, [1, 1, null]);
    const inTransaction = database.transaction;
    assert.ok(await inTransaction((db) => postponeReview(db, first, 10)));
    assert.equal(await inTransaction((db) => postponeReview(db, deleted, 10)), undefined);
    await inTransaction((db) => postponeReviews(db, [third], 11));
    await inTransaction((db) => queueReviews(db, here, [first], 12));
    for (const digest of [second, third])
      await inTransaction((db) => postponeLinkReview(db, here, digest, 13));
    const blobs = await database.read.selectFrom('blobs').select('review_at').orderBy('digest').execute();
    assert.deepEqual(
      blobs.map(({ review_at }) => review_at),
      [10, 1, 11, 1],
    );
    const reviewsOf = async (repository: number) => {
      const links = await linksOf(database, repository);
      return [first, second, third].map((digest) => links.get(digest));
    };
    // No review of the third one was queued.
    assert.deepEqual(await reviewsOf(here), [12, 13, null]);
    assert.deepEqual(await reviewsOf(there), [1, 1, null]);
  });

  test(`${name}: decides to delete exactly the stored blobs that no repository holds and whose times are due`, async (t) => {
    const database = await open(t);
    const cases = combine({
      state: ['stored', 'deleting', 'deleted'],
      isHeld: [false, true],
      review: [before - 1, before],
      unheld: [null, before - 1, before],
      parked: [null, parkedBefore - 1, parkedBefore],
    });
    // The last one is due too, but is not among the given ones.
    await insertBlobs(database, [...cases, { review: 1, unheld: 5 }]);
    const repository = await makeRepository(database);
    await insertLinks(
      database,
      repository,
      cases.map(({ isHeld }) => (isHeld ? null : undefined)),
    );
    const due = { reviewed: before, parked: parkedBefore };
    const digests = cases.map((_, number) => digestNumber(number));
    const found = await findDue(database.read, digests, due);
    assert.equal(found.has(digestNumber(cases.length)), false);
    const decided = await database.transaction((db) => decideDeletions(db, digests, due));
    const blobs = await blobsOf(database);
    const expected: object[] = [];
    for (const [number, { state, isHeld, review, unheld, parked }] of cases.entries()) {
      const isDue = state === 'stored' && review < before && (parked === null || parked < parkedBefore);
      const what = JSON.stringify(cases[number]);
      const digest = digestNumber(number);
      assert.deepEqual(found.get(digest), state === 'stored' ? { size: number, isDue } : undefined, what);
      if (isDue && !isHeld) {
        const deleting = { state: 'deleting', generation: 1, unheld_at: null, parked_at: null };
        assert.deepEqual({ ...blobs[number] }, { ...deleting, damaged_at: null }, what);
        expected.push({ digest, size: number });
      } else {
        const due = parked === null ? review : parked + before - parkedBefore;
        const waits = unheld === null || isHeld ? null : due;
        const kept = { state, generation: 0, unheld_at: waits, parked_at: parked };
        assert.deepEqual({ ...blobs[number] }, { ...kept, damaged_at: 5 }, what);
      }
    }
    const untouched = { state: 'stored', generation: 0, unheld_at: 5, parked_at: null, damaged_at: 5 };
    assert.deepEqual({ ...blobs.at(-1) }, untouched);
    assert.deepEqual(
      decided.map((one) => ({ ...one })).sort((a, b) => a.size - b.size),
      expected,
    );
  });

  test(`${name}: reviews and decides all that is due, whatever the number`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    // The last two pages of both are full.
    const count = 300;
    const numbers = Array.from({ length: count }, (_, number) => number);
    await insertBlobs(
      database,
      numbers.map(() => ({})),
    );
    // Many have the same time.
    await insertLinks(
      database,
      repository,
      numbers.map((number) => 1 + (number % 2)),
    );
    const needed = numbers.filter((number) => number % 3 === 0).map(digestNumber);
    await insertManifest(database, repository, needed);
    const found = await Array.fromAsync(findUnneededBlobs(database.read, before));
    assert.equal(found.flat().length, 200);
    const pages = await removeUnneededOf(database);
    assert.deepEqual(pages, [
      [66, 34],
      [67, 33],
      [67, 33],
    ]);
    assert.deepEqual([...(await linksOf(database, repository)).keys()].sort(), needed);
    const later = { reviewed: before + 1, parked: before + 1 };
    const decide = () => Array.fromAsync(decideUnheld(database.read, deciding(database), later));
    assert.equal((await decide()).length, 2);
    assert.equal((await listDeletions(database.read, '', count)).length, 200);
    assert.deepEqual([await removeUnneededOf(database), await decide()], [[], []]);
  });

  test(`${name}: decides on no blob of the queue that waits only since the time that is due`, async (t) => {
    const database = await open(t);
    await insertBlobs(database, [{ unheld: before - 1 }, { unheld: before }, { unheld: null }]);
    const decide = decideUnheld(database.read, deciding(database), { reviewed: before, parked: before });
    assert.equal((await Array.fromAsync(decide)).length, 1);
    const deletions = await listDeletions(database.read, '', 10);
    assert.deepEqual(
      deletions.map(({ digest }) => digest),
      [digestNumber(0)],
    );
  });

  const interests: Record<string, (database: Database, repository: number) => Promise<unknown>> = {
    'a manifest that needs it': (database, repository) =>
      insertManifest(database, repository, [digestNumber(0)]),
    'a push of the blob': (database, repository) =>
      database.transaction((db) => linkBlob(db, repository, digestNumber(0), before)),
  };
  for (const [what, arrive] of Object.entries(interests)) {
    test(`${name}: ${what} keeps a blob that was listed for its review before`, async (t) => {
      const database = await open(t);
      const repository = await makeRepository(database, repositoryName);
      await insertBlobs(database, [{}]);
      await insertLinks(database, repository, [1]);
      const pages = await removeUnneededOf(
        database,
        deciding(database, () => arrive(database, repository)),
      );
      assert.deepEqual(pages, [[0, 1]]);
      const review = what.startsWith('a push') ? before : null;
      assert.deepEqual([...(await linksOf(database, repository)).values()], [review]);
      assert.equal((await blobsOf(database))[0]?.unheld_at, null);
    });
  }

  test(`${name}: new bytes keep a blob that was listed for its deletion before`, async (t) => {
    const database = await open(t);
    await insertBlobs(database, [{ unheld: 1 }]);
    const stored = { digest: digestNumber(0), size: 0, generation: 0 };
    const decide = deciding(database, () => database.transaction((db) => recordStored(db, stored, before)));
    await Array.fromAsync(decideUnheld(database.read, decide, { reviewed: before, parked: before }));
    assert.deepEqual(await listDeletions(database.read, '', 10), []);
  });

  test(`${name}: a second review of the same list removes nothing, and ends no later review`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    await insertBlobs(database, [{}]);
    await insertLinks(database, repository, [1]);
    const due: DueLink[] = await listDueLinks(database.read, before, undefined, 10);
    const review = () => database.transaction((db) => removeUnneeded(db, due, before));
    assert.equal((await review()).length, 1);
    await insertLinks(database, repository, [before]);
    assert.equal((await review()).length, 0);
    assert.deepEqual([...(await linksOf(database, repository)).values()], [before]);
  });

  test(`${name}: counts what is due, up to a limit`, async (t) => {
    const database = await open(t);
    const times = [null, before - 1, before - 1, before];
    await insertBlobs(
      database,
      times.map((unheld) => ({ unheld })),
    );
    await insertLinks(database, await makeRepository(database), [...times.slice(1), before - 1]);
    assert.deepEqual(await countDueBlobs(database.read, before, 10), { unheld: 2, reviews: 3 });
    assert.deepEqual(await countDueBlobs(database.read, before, 1), { unheld: 1, reviews: 1 });
  });

  test(`${name}: completes the deletion of the given blob and generation only`, async (t) => {
    const database = await open(t);
    await insertBlobs(database, [{ state: 'deleting' }, { state: 'deleting' }, { state: 'deleting' }]);
    const left = async (after: string, limit: number) =>
      (await listDeletions(database.read, after, limit)).map(({ digest }) => Number(digest.slice(-1)));
    assert.deepEqual(await left(digestNumber(0), 1), [1]);
    await database.transaction((db) => recordDeleted(db, digestNumber(1), 1));
    assert.deepEqual(await left('', 10), [0, 1, 2]);
    await database.transaction((db) => recordDeleted(db, digestNumber(1), 0));
    assert.deepEqual(await left('', 10), [0, 2]);
  });

  test(`${name}: sets back only the queued times that are later than a plausible one`, async (t) => {
    const database = await open(t);
    const cases = combine({ unheld: [null, 10, 11], review: [10, 11] });
    await insertBlobs(database, cases);
    const repository = await makeRepository(database);
    await insertLinks(database, repository, [null, 10, 11]);
    await database.transaction(async (db) => {
      await setBackReviews(db, 3, 10);
      await setBackUnheld(db, 3, 10);
    });
    assert.deepEqual([...(await linksOf(database, repository)).values()], [null, 10, 3]);
    const blobs = await database.read
      .selectFrom('blobs')
      .select(['unheld_at as unheld', 'review_at as review'])
      .orderBy('digest')
      .execute();
    assert.deepEqual(
      blobs.map((blob) => ({ ...blob })),
      cases.map((one) =>
        one.unheld !== null && (one.unheld > 10 || one.review > 10) ? { unheld: 3, review: 3 } : one,
      ),
    );
  });
}
