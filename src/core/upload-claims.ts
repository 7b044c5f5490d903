import { randomUUID } from 'node:crypto';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import {
  type ClaimableUpload,
  claimUpload,
  deleteUpload,
  findUpload,
  findUploadUsage,
  giveBackClaim,
  moveStaged,
  recordProgress,
  releaseUpload,
  renewClaim,
  type SessionKey,
  type UploadLimits,
  type UploadRow,
} from '../db/uploads.ts';
import { digestAlgorithm } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type BlobStore, UploadLost } from '../storage/blob-store.ts';
import type { Clock } from './clock.ts';
import type { RunningHash } from './running-hash.ts';
import type { UploadHashes } from './upload-hashes.ts';

/** Milliseconds a writer keeps a session without renewing; what a resume on another replica waits for after a crash. */
const lease = 15_000;
/** Seconds after which who was refused for too many uploads may try again: others have ended by then. */
const retryAfter = 10;

/** A session that this process writes to. */
export interface Claim {
  /** As it was when it was claimed. */
  readonly row: UploadRow;
  readonly writer: string;
  readonly intake: Intake;
}

/** The least bytes of a body that come before the account's usage is looked at again. */
const leastShare = 4 << 20;

/** The body of the request that writes, as far as it has come. */
interface Intake {
  received: number;
  /** At how many bytes received the account's usage is looked at again. */
  judgedAt: number;
  /** Ends the body early. */
  stop: ((reason: Error) => void) | undefined;
}

/** How far a request has brought its session. */
export interface Progress {
  readonly hash: RunningHash;
  /** Where the store has the bytes. */
  readonly staged: string;
}

/** Gives upload sessions to one writer at a time, by a lease in the session's row. */
export class UploadClaims {
  readonly #database: Database;
  readonly #store: BlobStore;
  readonly #clock: Clock;
  readonly #hashes: UploadHashes;
  readonly #limits: UploadLimits;
  /** Sessions that this process writes to; a lease that ran out while it slept does not let a second writer in. */
  readonly #writing = new Set<string>();

  constructor(parts: {
    database: Database;
    store: BlobStore;
    clock: Clock;
    hashes: UploadHashes;
    limits: UploadLimits;
  }) {
    this.#limits = parts.limits;
    this.#database = parts.database;
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#hashes = parts.hashes;
  }

  /** @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async find(session: SessionKey): Promise<ClaimableUpload> {
    const row = await findUpload(this.#database.read, session);
    if (row === undefined) throw unknownUpload();
    return row;
  }

  /**
   * Runs `run` as the session's only writer: two bodies would be interleaved (R16). Gives the claim back when it fails.
   *
   * @param mayHaveMoved whether `run` can do with staged bytes that are gone, as they may be a blob's already
   * @throws RegistryError `RANGE_INVALID` while another request writes, `BLOB_UPLOAD_UNKNOWN`
   */
  async exclusively<T>(
    session: SessionKey,
    run: (claim: Claim) => Promise<T>,
    { mayHaveMoved = () => false }: { mayHaveMoved?: (row: UploadRow) => boolean } = {},
  ): Promise<T> {
    const { id, writer: before } = await this.find(session);
    if (this.#writing.has(id)) throw busy();
    this.#writing.add(id);
    try {
      const writer = randomUUID();
      const now = this.#clock();
      const row = await this.#database.transaction(
        (db) => claimUpload(db, id, { before, writer, until: now + lease, now }),
        { durable: false },
      );
      if (row !== undefined) {
        const judgedAt = shareOf(this.#limits.bytes, this.#limits.sessions);
        const claim = { row, writer, intake: { received: 0, judgedAt, stop: undefined } };
        const held = before === null ? claim : await this.#adopt(claim, mayHaveMoved(row));
        return await this.#holding(held, run);
      }
      // Either another process writes, or the session ended since it was found.
      await this.find(session);
      throw busy();
    } finally {
      this.#writing.delete(id);
    }
  }

  /**
   * Counts bytes of the body that have come. An upload that is larger than may be staged is stopped at once, whatever else is uploaded;
   * for the sum of all, the database is asked when this one has taken its share of what was left.
   */
  received(claim: Claim, bytes: number): void {
    const { row, intake } = claim;
    intake.received += bytes;
    const size = row.size + intake.received;
    if (size > this.#limits.bytes) {
      // Not before the store has these bytes, too.
      queueMicrotask(() => intake.stop?.(tooMuchStaged(this.#limits, size)));
    } else if (intake.received >= intake.judgedAt) {
      intake.judgedAt = Number.POSITIVE_INFINITY;
      void this.#renew(claim);
    }
  }

  /** Records the progress and keeps the claim. @throws RegistryError `BLOB_UPLOAD_UNKNOWN` when the claim was lost */
  async record(
    { row, writer }: Claim,
    progress: Pick<UploadRow, 'size' | 'digest' | 'staged'>,
  ): Promise<void> {
    const upload = { ...progress, id: row.id, writer, algorithm: digestAlgorithm(progress.digest) };
    await this.#ifHeld((db) => recordProgress(db, upload));
  }

  /**
   * Records the progress and gives up the claim. Where that would be more than may be staged at once, the session ends, as it would
   * keep those waiting that could be finished.
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN` when the claim was lost, `TOOMANYREQUESTS`, `DENIED`
   */
  async release(claim: Claim, { hash, staged }: Progress): Promise<void> {
    const { row, writer } = claim;
    const { algorithm, size } = hash;
    const upload = { id: row.id, writer, algorithm, size, digest: hash.digest(), staged };
    const limit = size > row.size ? this.#limits.bytes : undefined;
    const release = (db: Db): Promise<boolean> => releaseUpload(db, upload, this.#clock(), limit);
    if (!(await this.#database.transaction(release, { durable: false }))) {
      await this.end(claim, staged);
      throw tooMuchStaged(this.#limits, size);
    }
    // What the store has replaced by other bytes is named by no row any more.
    if (staged !== row.staged) await this.#store.abort(row, staged).catch(() => {});
  }

  /**
   * Ends the session and frees its bytes.
   * @param staged where the bytes of this request are
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN` when the claim was lost: then the bytes are another writer's
   */
  async end({ row, writer }: Claim, staged = row.staged): Promise<void> {
    this.#hashes.forget(row.id);
    // The row first: staged bytes without a session are swept, a session without its bytes would mislead.
    await this.#ifHeld((db) => deleteUpload(db, row.id, writer));
    await this.free(row, staged);
  }

  /** Frees the bytes of a session that was ended under its claim. */
  async free(row: UploadRow, staged: string): Promise<void> {
    await this.#store.abort({ ...row, staged });
    if (staged !== row.staged) await this.#store.abort(row, staged);
  }

  async #ifHeld(change: (db: Db) => Promise<boolean>): Promise<void> {
    if (!(await this.#database.transaction(change, { durable: false }))) throw unknownUpload();
  }

  /**
   * The writer before did not release its claim: it died, or sleeps, or runs behind a network that is cut. Whatever it writes
   * when it wakes must not be among the bytes that count. When this fails the claim is left to run out, so that the next
   * writer has to do it.
   */
  async #adopt(claim: Claim, mayHaveMoved: boolean): Promise<Claim> {
    const { row, writer } = claim;
    try {
      const staged = await this.#store.adopt(row);
      await this.#ifHeld((db) => moveStaged(db, { id: row.id, writer, staged }));
      return { ...claim, row: { ...row, staged } };
    } catch (error) {
      if (!(error instanceof UploadLost)) throw error;
      // Bytes that are gone are nobody's to write to.
      if (mayHaveMoved && isGone(error)) return claim;
      return this.#endLost(claim, error);
    }
  }

  /** Keeps the claim while `run` runs. When it fails, what it had not recorded is as if it had not been. */
  async #holding<T>(claim: Claim, run: (claim: Claim) => Promise<T>): Promise<T> {
    const renewal = setInterval(() => this.#renew(claim), lease / 3);
    try {
      return await run(claim);
    } catch (error) {
      if (error instanceof UploadLost) await this.#endLost(claim, error);
      // Changes nothing where the claim was released, or went with its session. Where the database fails, the lease ends it.
      await this.#giveBack(claim).catch(() => {});
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }

  /** Tells of the bytes that have come, too, so that many bodies at once are seen before they are recorded. */
  async #renew({ row, writer, intake }: Claim): Promise<void> {
    const now = this.#clock();
    const renewal = { writer, until: now + lease, now, receiving: intake.received };
    let share = leastShare;
    try {
      const { bytes, sessions } = await this.#database.transaction(
        async (db) => {
          await renewClaim(db, row.id, renewal);
          return findUploadUsage(db, row.charged_to);
        },
        { durable: false },
      );
      if (bytes > this.#limits.bytes) intake.stop?.(tooMuchStaged(this.#limits, row.size + intake.received));
      share = shareOf(this.#limits.bytes - bytes, sessions);
    } catch {
      // A lease that could not be renewed ends by itself; the commit notices.
    }
    intake.judgedAt = renewal.receiving + share;
  }

  /** Ends the claim with the session as it was recorded last. */
  async #giveBack({ row, writer }: Claim): Promise<void> {
    await this.#database.transaction((db) => giveBackClaim(db, row.id, writer, this.#clock()), {
      durable: false,
    });
  }

  async #endLost(claim: Claim, cause: UploadLost): Promise<never> {
    await this.end(claim);
    throw new RegistryError('BLOB_UPLOAD_UNKNOWN', 'the bytes sent so far were lost; start again', { cause });
  }
}

/** Bytes that one of `sessions` uploads takes of those that are left before it looks again. */
function shareOf(left: number, sessions: number): number {
  return Math.max(left / sessions, leastShare);
}

/** Nothing is staged, as opposed to something else. */
export function isGone(error: unknown): boolean {
  return error instanceof UploadLost && error.found === undefined;
}

/** @param size of the upload in question */
function tooMuchStaged({ bytes }: UploadLimits, size: number): RegistryError {
  const setting = `limits.stagedBytesPerAccount is ${bytes} bytes`;
  // It would not fit at any other time either.
  if (size > bytes) return new RegistryError('DENIED', `the upload is too large: ${setting}`);
  return new RegistryError('TOOMANYREQUESTS', `too much is uploaded at once: ${setting}`, { retryAfter });
}

/** Opening one more session is refused. */
export function tooManyUploads({ sessions, bytes }: UploadLimits, open: UploadLimits): RegistryError {
  if (open.sessions < sessions) return tooMuchStaged({ sessions, bytes }, 0);
  const detail = `${open.sessions} uploads are open: limits.uploadsPerAccount is ${sessions}`;
  return new RegistryError('TOOMANYREQUESTS', detail, { retryAfter });
}

function busy(): RegistryError {
  return new RegistryError('RANGE_INVALID', 'another request is writing to this upload');
}

function unknownUpload(): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN');
}
