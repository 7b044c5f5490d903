import { affectedByBlob, affectedByManifest } from '../core/fsck/affected.ts';
import { contentProblem } from '../core/fsck/manifests.ts';
import { type ScrubBlobParts, scrubBlob } from '../core/scrub-blob.ts';
import {
  findScrub,
  maxListed,
  newPass,
  noteScrub,
  type Problem,
  type ScrubPass,
  type ScrubState,
} from '../core/scrub-state.ts';
import { everyManifestId, everyStoredBlob, findWholeManifest } from '../db/fsck.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { printName } from '../oci/hidden-name.ts';
import { Pace } from './pace.ts';

export interface ScrubParts extends ScrubBlobParts {
  /** Bytes read in a second, at most; 0: as many as the store can. */
  readonly bytesPerSecond: number;
  readonly observer: ScrubObserver;
}

export interface ScrubObserver {
  /** Called with the bytes of each chunk of a blob, and of each manifest. */
  read(bytes: number): void;
  /** A blob was checked. */
  blobChecked(): void;
  /** A blob or manifest is damaged, also if that was known before, or could not be read. */
  found(what: 'damaged' | 'unreadable', problem: Problem): void;
  /** A damaged blob has its right bytes again. */
  healed(digest: string): void;
}

/** Milliseconds between two records of the position. */
const saveEvery = 10_000;

/** Whether a pass is unfinished, or the last one began `every` milliseconds ago. */
export async function isScrubDue(db: Db, now: number, every: number): Promise<boolean> {
  const { pass, last } = await findScrub(db);
  return pass !== undefined || last === undefined || last.began + every <= now;
}

/**
 * Reads all stored blobs in the order of their digests, then all manifests, and compares them with their digests. Damaged blobs are
 * marked, so that they are not served and the next push replaces them. Continues a pass that was interrupted. A pass may be killed at
 * any point, and two may run at the same time.
 *
 * @param restart begins with the first blob
 * @throws StoreDisagrees | StoreMismatch, the signal's reason, or errors of the database
 */
export async function scrub(
  parts: ScrubParts,
  signal: AbortSignal,
  { restart = false } = {},
): Promise<ScrubPass> {
  const { database, observer } = parts;
  await parts.checkStore();
  const { pass: unfinished, ...before } = await findScrub(database.read);
  const begun = restart ? undefined : unfinished;
  const running = { after: '' as string | number, ...(begun ?? newPass(database.clock())) };
  const write = (work: (db: Db) => Promise<void>): Promise<void> =>
    database.transaction(work, { durable: false });
  if (begun === undefined) await write((db) => noteScrub(db, { ...before, pass: running }));
  /** Changes nothing if another process, which took the lease, has ended the pass or begun another one. */
  const save = (changed: ScrubState): Promise<void> =>
    write(async (db) => {
      const { pass, ...rest } = await findScrub(db);
      if (pass?.began === running.began) await noteScrub(db, { ...rest, ...changed });
    });
  let savedAt = performance.now();
  const checked = async (after: string | number): Promise<void> => {
    running.after = after;
    if (performance.now() - savedAt < saveEvery) return;
    await save({ pass: running });
    savedAt = performance.now();
  };
  const pace = new Pace({ blobsPerSecond: 0, bytesPerSecond: parts.bytesPerSecond });
  const read = async (bytes: number): Promise<void> => {
    running.bytes += bytes;
    observer.read(bytes);
    await pace.spend(bytes, signal);
  };
  try {
    if (typeof running.after === 'string') await readBlobs(parts, running, { read, checked, signal });
    await readManifests(parts, running, { read, checked, signal });
  } catch (error) {
    await save({ pass: running }).catch(() => {});
    throw error;
  }
  const { after: _, ...complete } = running;
  await save({ last: { ...complete, ended: database.clock() } });
  return complete;
}

interface Reading {
  readonly read: (bytes: number) => Promise<void>;
  readonly checked: (after: string | number) => Promise<void>;
  readonly signal: AbortSignal;
}

async function readBlobs(
  parts: ScrubParts,
  pass: ScrubPass & { readonly after: string | number },
  { read, checked, signal }: Reading,
): Promise<void> {
  const { database, observer } = parts;
  for await (const row of everyStoredBlob(database.read, 0, String(pass.after))) {
    signal.throwIfAborted();
    const { digest } = row;
    const result = await scrubBlob(parts, row, { onRead: read, signal });
    if (result === 'healed') observer.healed(digest);
    if (typeof result === 'object') {
      const affects = await affectedByBlob(database.read, digest);
      const problem = { subject: `blob ${digest}`, problem: result.problem, affects };
      observer.found(result.isDamaged ? 'damaged' : 'unreadable', problem);
      if (!result.isDamaged && pass.unreadable.length < maxListed) pass.unreadable.push(problem);
    }
    pass.blobs += 1;
    observer.blobChecked();
    await checked(digest);
  }
}

async function readManifests(
  { database, observer }: ScrubParts,
  pass: ScrubPass & { readonly after: string | number },
  { read, checked, signal }: Reading,
): Promise<void> {
  const after = typeof pass.after === 'number' ? pass.after : 0;
  for await (const id of everyManifestId(database.read, after)) {
    signal.throwIfAborted();
    // SQLite answers synchronously, so requests run only if this loop yields.
    await nextTurn();
    const row = await findWholeManifest(database.read, id);
    if (row === undefined) continue;
    const found = contentProblem(row);
    if (found !== undefined) {
      const affects = await affectedByManifest(database.read, row);
      const problem = {
        subject: `manifest ${row.digest} of ${printName(row.name)}`,
        problem: found.problem,
        affects,
      };
      observer.found('damaged', problem);
      if (pass.damagedManifests.length < maxListed) pass.damagedManifests.push(problem);
    }
    pass.manifests += 1;
    await read(row.bytes.length);
    await checked(id);
  }
}
