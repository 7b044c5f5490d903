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
/** Seconds of `Retry-After` when an account has too many uploads: some of them have usually ended by then. */
const retryAfter = 10;

/** The lease of a session that this process writes to. */
export interface Lease {
  /** The row when the lease was taken. */
  readonly row: UploadRow;
  readonly writer: string;
  readonly intake: Intake;
}

/** Minimum bytes of a body between two checks of the account's usage. */
const minShare = 4 << 20;

/** The bytes received from the body of the writing request. */
interface Intake {
  received: number;
  /** Bytes received at which the account's usage is checked next. */
  checkAt: number;
  /** Ends the body early. */
  stop: ((reason: Error) => void) | undefined;
  /** Set before the lease is released, because a later renewal would count the bytes twice. */
  ended: boolean;
}

/** The state of a session after a request's body was received. */
export interface Progress {
  readonly hash: RunningHash;
  /** Location of the bytes in the store (see `StagedUpload`). */
  readonly staged: string;
}

/**
 * Allows only one request at a time to write to an upload session, with a lease in its row. If the registry has only one process,
 * the process keeps the lease after a request, so that the next request need not take it. With several processes, the others would
 * have to wait until a kept lease ends.
 */
export class UploadLeases {
  /** Writer id of all requests, if this process keeps its leases; `null`: each request has its own writer id. */
  readonly #own: string | null;
  readonly #database: Database;
  readonly #store: BlobStore;
  readonly #clock: Clock;
  readonly #hashes: UploadHashes;
  readonly #limits: UploadLimits;
  /** Sessions that this process writes to. Even after a lease has expired, no second writer may begin in this process. */
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
   * Runs `run` as the only writer of the session: the bytes of two concurrent bodies would be mixed. Releases the lease on failure.
   * @param mayHaveMoved whether `run` accepts that no bytes are staged, because an earlier commit may have moved them
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

  /** The lease that this process kept after its last request. @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async #findKept(session: SessionKey): Promise<Lease | undefined> {
    const { writer, writer_until: until, ...row } = await this.find(session);
    if (writer === null || writer !== this.#own) return undefined;
    const now = this.#clock();
    // The lease must not expire before its first renewal.
    if (until - now < leaseTime / 2) {
      const renewal = { writer, until: now + leaseTime, now, receiving: 0 };
      const renew = (db: Db): Promise<boolean> => renewUploadLease(db, row.id, renewal);
      if (!(await this.#database.transaction(renew, { durable: false }))) return undefined;
    }
    return this.#leaseOf(row, writer);
  }

  /** The lease that a session's row has after a request. */
  keptAt(now: number): KeptLease {
    return this.#own === null ? notKept : { kept: this.#own, until: now + leaseTime };
  }

  /** @throws RegistryError `RANGE_INVALID` while another process has the lease, `BLOB_UPLOAD_UNKNOWN` */
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
    const checkAt = shareOf(this.#limits.bytes, this.#limits.sessions);
    return { row, writer, intake: { received: 0, checkAt, stop: undefined, ended: false } };
  }

  /**
   * Counts received bytes of the body. Stops an upload above the limit at once. Queries the account's usage when this upload has
   * received its share of the bytes that were left at the last query.
   */
  received(lease: Lease, bytes: number): void {
    const { row, intake } = lease;
    intake.received += bytes;
    const size = row.size + intake.received;
    if (size > this.#limits.bytes) {
      // Stops after the store has received these bytes too.
      queueMicrotask(() => intake.stop?.(tooMuchStaged(this.#limits, size)));
    } else if (intake.received >= intake.checkAt) {
      intake.checkAt = Number.POSITIVE_INFINITY;
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
    // The row no longer refers to the replaced bytes.
    if (staged !== row.staged) await this.#store.abort(row, staged).catch(() => {});
  }

  /**
   * Ends the session and frees its bytes.
   * @param staged location of this request's bytes
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN` if the lease was lost: the bytes are then another writer's
   */
  async end({ row, writer }: Lease, staged = row.staged): Promise<void> {
    this.#hashes.forget(row.id);
    // The row first: garbage collection deletes staged bytes without a session, but a session without bytes would mislead clients.
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
   * Takes over from a writer that did not release its lease: it died, is suspended, or lost its network. Bytes that it still writes
   * must not become part of the upload. On failure the lease expires, so that the next writer takes over again.
   */
  async #adopt(lease: Lease, mayHaveMoved: boolean): Promise<Lease> {
    const { row, writer } = lease;
    try {
      const staged = await this.#store.adopt(row);
      await this.#ifHeld((db) => moveStaged(db, { id: row.id, writer, staged }));
      return { ...lease, row: { ...row, staged } };
    } catch (error) {
      if (!(error instanceof UploadLost)) throw error;
      // If no bytes are staged, the former writer cannot change any.
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
      // No change if the lease was released or its session has ended. If the database fails, the lease expires.
      await this.#giveBack(lease).catch(() => {});
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }

  /** Also records the received bytes, so that the limits count the bodies that are still being received. */
  async #renew({ row, writer, intake }: Lease): Promise<void> {
    if (intake.ended) return;
    const now = this.#clock();
    const renewal = { writer, until: now + leaseTime, now, receiving: intake.received };
    let share = minShare;
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
      // Without a renewal the lease expires; if another writer takes it, the commit fails.
    }
    intake.checkAt = renewal.receiving + share;
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
    throw new RegistryError(
      'BLOB_UPLOAD_UNKNOWN',
      'the bytes sent so far were lost; start the upload again',
      { cause },
    );
  }
}

/** Bytes that each of `sessions` uploads may receive before the next check: an equal share of the bytes left. */
function shareOf(left: number, sessions: number): number {
  return Math.max(left / sessions, minShare);
}

/** Whether no bytes of the upload are staged; false if fewer or different bytes are. */
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

/** The error when an account may not open another session. */
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
