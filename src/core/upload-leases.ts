import { randomUUID } from 'node:crypto';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import {
  deleteUpload,
  findUpload,
  findUploadUsage,
  giveBackUploadLease,
  type KeptLease,
  type LeasableUpload,
  leaseUpload,
  moveStaged,
  notKept,
  recordProgress,
  releaseUpload,
  renewUploadLease,
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

/** Milliseconds that a lease lasts without renewal: how long another replica waits to resume after a crash. */
const leaseTime = 15_000;
/** Seconds after which a request refused for too many uploads may try again: others have ended by then. */
const retryAfter = 10;

/** The lease of a session that this process writes to. */
export interface Lease {
  /** The row when the lease was taken. */
  readonly row: UploadRow;
  readonly writer: string;
  readonly intake: Intake;
}

/** The least bytes of a body between two checks of the account's usage. */
const leastShare = 4 << 20;

/** What has arrived of the writing request's body. */
interface Intake {
  received: number;
  /** Bytes received at which the account's usage is checked next. */
  judgedAt: number;
  /** Ends the body early. */
  stop: ((reason: Error) => void) | undefined;
  /** Set before the lease is released: a renewal after it would count the bytes twice. */
  ended: boolean;
}

/** How far a request has brought its session. */
export interface Progress {
  readonly hash: RunningHash;
  /** The store's place of the bytes. */
  readonly staged: string;
}

/**
 * Lets only one request at a time write to an upload session, by a lease in its row. The only process of a registry keeps the lease
 * after a request, so that the next one need not take it; other processes would have to wait until it ends.
 */
export class UploadLeases {
  /** The writer of all requests of this process, if it keeps their leases; otherwise each request is a writer of its own. */
  readonly #own: string | null;
  readonly #database: Database;
  readonly #store: BlobStore;
  readonly #clock: Clock;
  readonly #hashes: UploadHashes;
  readonly #limits: UploadLimits;
  /** Sessions that this process writes to. Even after a lease ran out, no second writer of this process may begin. */
  readonly #writing = new Set<string>();

  constructor(parts: {
    database: Database;
    store: BlobStore;
    clock: Clock;
    hashes: UploadHashes;
    limits: UploadLimits;
    onlyProcess: boolean;
  }) {
    this.#own = parts.onlyProcess ? randomUUID() : null;
    this.#limits = parts.limits;
    this.#database = parts.database;
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#hashes = parts.hashes;
  }

  /** @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async find(session: SessionKey): Promise<LeasableUpload> {
    const row = await findUpload(this.#database.read, session);
    if (row === undefined) throw unknownUpload();
    return row;
  }

  /**
   * Runs `run` as the only writer of the session, because two bodies would be interleaved (R16). Gives the lease back on failure.
   * @param mayHaveMoved whether `run` can handle missing staged bytes, which may be a blob's already
   * @throws RegistryError `RANGE_INVALID` while another request writes, `BLOB_UPLOAD_UNKNOWN`
   */
  async exclusively<T>(
    session: SessionKey,
    run: (lease: Lease) => Promise<T>,
    { mayHaveMoved = () => false }: { mayHaveMoved?: (row: UploadRow) => boolean } = {},
  ): Promise<T> {
    const { id, writer: before } = await this.find(session);
    if (this.#writing.has(id)) throw busy();
    this.#writing.add(id);
    try {
      const own = before !== null && before === this.#own ? await this.#findKept(session) : undefined;
      const lease = own ?? (await this.#lease(session, before));
      const isTakeover = own === undefined && before !== null;
      const held = isTakeover ? await this.#adopt(lease, mayHaveMoved(lease.row)) : lease;
      return await this.#holding(held, run);
    } finally {
      this.#writing.delete(id);
    }
  }

  /** The lease that this process keeps, with the row as the last request left it. @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async #findKept(session: SessionKey): Promise<Lease | undefined> {
    const { writer, writer_until: until, ...row } = await this.find(session);
    if (writer === null || writer !== this.#own) return undefined;
    const now = this.#clock();
    // It must not end before its first renewal.
    if (until - now < leaseTime / 2) {
      const renewal = { writer, until: now + leaseTime, now, receiving: 0 };
      const renew = (db: Db): Promise<boolean> => renewUploadLease(db, row.id, renewal);
      if (!(await this.#database.transaction(renew, { durable: false }))) return undefined;
    }
    return this.#leaseOf(row, writer);
  }

  /** The lease that a session has after a request. */
  keptAt(now: number): KeptLease {
    return this.#own === null ? notKept : { kept: this.#own, until: now + leaseTime };
  }

  /** @throws RegistryError `RANGE_INVALID` while another process has it, `BLOB_UPLOAD_UNKNOWN` */
  async #lease(session: SessionKey, before: string | null): Promise<Lease> {
    const writer = this.#own ?? randomUUID();
    const now = this.#clock();
    const row = await this.#database.transaction(
      (db) => leaseUpload(db, session.id, { before, writer, until: now + leaseTime, now }),
      { durable: false },
    );
    if (row !== undefined) return this.#leaseOf(row, writer);
    // Either another process has the lease, or the session has ended.
    await this.find(session);
    throw busy();
  }

  #leaseOf(row: UploadRow, writer: string): Lease {
    const judgedAt = shareOf(this.#limits.bytes, this.#limits.sessions);
    return { row, writer, intake: { received: 0, judgedAt, stop: undefined, ended: false } };
  }

  /**
   * Counts arrived bytes of the body. An upload above the limit is stopped at once. For the account's sum, the database is asked
   * once this upload has used its share of what was left.
   */
  received(lease: Lease, bytes: number): void {
    const { row, intake } = lease;
    intake.received += bytes;
    const size = row.size + intake.received;
    if (size > this.#limits.bytes) {
      // Only after the store has these bytes too.
      queueMicrotask(() => intake.stop?.(tooMuchStaged(this.#limits, size)));
    } else if (intake.received >= intake.judgedAt) {
      intake.judgedAt = Number.POSITIVE_INFINITY;
      void this.#renew(lease);
    }
  }

  /** Records the progress and keeps the lease. @throws RegistryError `BLOB_UPLOAD_UNKNOWN` if the lease was lost */
  async record(
    { row, writer }: Lease,
    progress: Pick<UploadRow, 'size' | 'digest' | 'staged'>,
  ): Promise<void> {
    const upload = { ...progress, id: row.id, writer, algorithm: digestAlgorithm(progress.digest) };
    await this.#ifHeld((db) => recordProgress(db, upload));
  }

  /**
   * Records the progress and releases the lease. If more would be staged than is allowed, ends the session, so that other uploads
   * can finish.
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN` if the lease was lost, `TOOMANYREQUESTS`, `DENIED`
   */
  async release(lease: Lease, { hash, staged }: Progress): Promise<void> {
    const { row, writer, intake } = lease;
    const { algorithm, size } = hash;
    const upload = { id: row.id, writer, algorithm, size, digest: hash.digest(), staged };
    const limit = size > row.size ? this.#limits.bytes : undefined;
    const release = (db: Db): Promise<boolean> => releaseUpload(db, upload, this.#released(), limit);
    intake.ended = true;
    if (!(await this.#database.transaction(release, { durable: false }))) {
      await this.end(lease, staged);
      throw tooMuchStaged(this.#limits, size);
    }
    // No row names the replaced bytes any more.
    if (staged !== row.staged) await this.#store.abort(row, staged).catch(() => {});
  }

  /**
   * Ends the session and frees its bytes.
   * @param staged the place of this request's bytes
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN` if the lease was lost: the bytes are then another writer's
   */
  async end({ row, writer }: Lease, staged = row.staged): Promise<void> {
    this.#hashes.forget(row.id);
    // The row first: staged bytes without a session are swept, a session without bytes would mislead clients.
    await this.#ifHeld((db) => deleteUpload(db, row.id, writer));
    await this.free(row, staged);
  }

  /** Frees the bytes of a session that ended under its lease. */
  async free(row: UploadRow, staged: string): Promise<void> {
    await this.#store.abort({ ...row, staged });
    if (staged !== row.staged) await this.#store.abort(row, staged);
  }

  async #ifHeld(change: (db: Db) => Promise<boolean>): Promise<void> {
    if (!(await this.#database.transaction(change, { durable: false }))) throw unknownUpload();
  }

  /**
   * Takes over from a writer that did not release its lease: it died, is suspended, or lost its network. What it still writes
   * must not be among the bytes that count. On failure the lease runs out, so that the next writer takes over again.
   */
  async #adopt(lease: Lease, mayHaveMoved: boolean): Promise<Lease> {
    const { row, writer } = lease;
    try {
      const staged = await this.#store.adopt(row);
      await this.#ifHeld((db) => moveStaged(db, { id: row.id, writer, staged }));
      return { ...lease, row: { ...row, staged } };
    } catch (error) {
      if (!(error instanceof UploadLost)) throw error;
      // Missing bytes cannot be written to by the former writer.
      if (mayHaveMoved && isGone(error)) return lease;
      return this.#endLost(lease, error);
    }
  }

  /** Renews the lease while `run` runs. On failure, unrecorded progress is discarded. */
  async #holding<T>(lease: Lease, run: (lease: Lease) => Promise<T>): Promise<T> {
    const renewal = setInterval(() => this.#renew(lease), leaseTime / 3);
    try {
      return await run(lease);
    } catch (error) {
      if (error instanceof UploadLost) await this.#endLost(lease, error);
      // No change if the lease was released or its session has ended. If the database fails, the lease runs out.
      await this.#giveBack(lease).catch(() => {});
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }

  /** Also records the bytes received, so that many concurrent bodies are noticed before they are recorded. */
  async #renew({ row, writer, intake }: Lease): Promise<void> {
    if (intake.ended) return;
    const now = this.#clock();
    const renewal = { writer, until: now + leaseTime, now, receiving: intake.received };
    let share = leastShare;
    try {
      const { bytes, sessions } = await this.#database.transaction(
        async (db) => {
          await renewUploadLease(db, row.id, renewal);
          return findUploadUsage(db, row.charged_to);
        },
        { durable: false },
      );
      if (bytes > this.#limits.bytes) intake.stop?.(tooMuchStaged(this.#limits, row.size + intake.received));
      share = shareOf(this.#limits.bytes - bytes, sessions);
    } catch {
      // Without renewal the lease runs out, and the commit notices.
    }
    intake.judgedAt = renewal.receiving + share;
  }

  /** Releases the lease without recording progress. */
  async #giveBack({ row, writer, intake }: Lease): Promise<void> {
    const { id } = row;
    intake.ended = true;
    await this.#database.transaction((db) => giveBackUploadLease(db, { id, writer }, this.#released()), {
      durable: false,
    });
  }

  #released(): KeptLease & { now: number } {
    const now = this.#clock();
    return { ...this.keptAt(now), now };
  }

  async #endLost(lease: Lease, cause: UploadLost): Promise<never> {
    await this.end(lease);
    throw new RegistryError('BLOB_UPLOAD_UNKNOWN', 'the bytes sent so far were lost; start again', { cause });
  }
}

/** Bytes that one of `sessions` uploads may receive, of those left, before the next check. */
function shareOf(left: number, sessions: number): number {
  return Math.max(left / sessions, leastShare);
}

/** Whether nothing is staged, as opposed to other bytes. */
export function isGone(error: unknown): boolean {
  return error instanceof UploadLost && error.found === undefined;
}

/** @param size of the upload in question */
function tooMuchStaged({ bytes }: UploadLimits, size: number): RegistryError {
  const setting = `limits.stagedBytesPerAccount is ${bytes} bytes`;
  // A retry cannot help.
  if (size > bytes) return new RegistryError('DENIED', `the upload is too large: ${setting}`);
  return new RegistryError('TOOMANYREQUESTS', `too many bytes are uploaded at once: ${setting}`, {
    retryAfter,
  });
}

/** The refusal of one more session. */
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
