import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Database } from '../db/database.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';
import {
  findUploadUsage,
  insertUpload,
  noUploadLimits,
  type SessionKey,
  type UploadLimits,
  type UploadRow,
} from '../db/uploads.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { BlobStore, StagedUpload } from '../storage/blob-store.ts';
import type { Blobs } from './blobs.ts';
import type { Clock } from './clock.ts';
import { findOrCreatePushed } from './pushed-repository.ts';
import type { Pusher } from './pusher.ts';
import { isLimited, noQuotas, type QuotaDefaults, QuotaExceeded, requireSpace } from './quotas.ts';
import { RunningHash } from './running-hash.ts';
import { UploadHashes } from './upload-hashes.ts';
import { isGone, type Lease, type Progress, tooManyUploads, UploadLeases } from './upload-leases.ts';

/** Progress of a session. */
export interface UploadStatus {
  readonly id: string;
  /** Bytes received. */
  readonly size: number;
}

export interface UploadStart {
  readonly claim?: NamespaceClaim | undefined;
  /** The account or network whose limits it counts against; default: the owner. */
  readonly chargedTo?: string;
  /** As in {@link Pusher}. */
  readonly repository?: number | undefined;
  /** The digest, and if known the bytes, of a blob that the request contains. */
  readonly whole?: { readonly digest?: Digest; readonly bytes?: number | undefined };
}

/** A request's body and its `Content-Range`. */
export interface UploadBody {
  /** Starts reading; called after all checks that may refuse the body. */
  readonly open: () => Readable;
  /** First and last byte by `Content-Range`; absent: append. */
  readonly range?: { readonly first: number; readonly last: number } | undefined;
  /** Whether the body is known to be empty before it is opened. */
  readonly empty?: boolean;
  /** Ends the body early, as if the client had hung up. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the size of each chunk. */
  readonly received?: ((bytes: number) => void) | undefined;
}

/**
 * Upload sessions. Their state is in the database, so any replica can continue any session. The running hash is a local cache,
 * recomputed from the staged bytes if missing.
 */
export class Uploads {
  readonly #database: Database;
  readonly #store: BlobStore;
  readonly #blobs: Blobs;
  readonly #clock: Clock;
  readonly #limits: UploadLimits;
  readonly #hashes: UploadHashes;
  readonly #leases: UploadLeases;
  readonly #quotas: QuotaDefaults;

  constructor(parts: {
    database: Database;
    store: BlobStore;
    blobs: Blobs;
    clock: Clock;
    limits?: UploadLimits;
    quotas?: QuotaDefaults;
    /** Whether no other process writes to these sessions. */
    onlyProcess?: boolean;
  }) {
    const { limits = noUploadLimits, onlyProcess = false } = parts;
    this.#limits = limits;
    this.#quotas = parts.quotas ?? noQuotas;
    this.#database = parts.database;
    this.#store = parts.store;
    this.#blobs = parts.blobs;
    this.#clock = parts.clock;
    this.#hashes = new UploadHashes(parts.store);
    this.#leases = new UploadLeases({ ...parts, limits, onlyProcess, hashes: this.#hashes });
  }

  /**
   * Opens a session for its owner only; creates the repository if needed.
   * @throws RegistryError `TOOMANYREQUESTS`; `UNAVAILABLE` if the repository was renamed since the request was authorized; `DENIED` if a
   *   quota is used up, or too small for these bytes
   */
  async start(
    name: RepositoryName,
    algorithm: DigestAlgorithm,
    owner: string,
    { claim, chargedTo = owner, repository: authorized, whole = {} }: UploadStart = {},
  ): Promise<UploadStatus> {
    await this.#store.ensureFreeSpace();
    const id = randomUUID();
    const digest = new RunningHash(algorithm).digest();
    await this.#database.transaction(
      async (db) => {
        const now = this.#clock();
        await claim?.prepare(db, now);
        const repository = await findOrCreatePushed(db, this.#quotas, name, authorized, now);
        const lease = this.#leases.keptAt(now);
        const upload = { id, repository, algorithm, digest, owner, chargedTo, lease };
        const inserted = await insertUpload(db, upload, now, this.#limits);
        if (inserted === undefined) {
          throw tooManyUploads(this.#limits, await findUploadUsage(db, chargedTo));
        }
        if (isLimited(this.#quotas, inserted.any_quota)) {
          await requireSpace(db, this.#quotas, { id: repository, name }, { upload: whole });
        }
      },
      // A power cut may lose the session; the client then opens another one.
      { durable: false },
    );
    return { id, size: 0 };
  }

  /** @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async status(session: SessionKey): Promise<UploadStatus> {
    const { id, size } = await this.#leases.find(session);
    return { id, size };
  }

  /**
   * Appends a chunk, or a whole stream (end-5). Keeps the bytes that were received before the client disconnected.
   * @throws RegistryError `RANGE_INVALID` | `BLOB_UPLOAD_UNKNOWN` | `BLOB_UPLOAD_INVALID`; `TOOMANYREQUESTS` | `DENIED` if more
   * than the limits allow would be staged; the session has then ended
   */
  async append(session: SessionKey, body: UploadBody): Promise<UploadStatus> {
    await this.#store.ensureFreeSpace();
    return this.#leases.exclusively(session, async (lease) => {
      const received = await this.#take(lease, body);
      await this.#leases.release(lease, received);
      return { id: session.id, size: received.hash.size };
    });
  }

  /**
   * Appends the last bytes, if any, and makes the upload a blob (end-6). A wrong digest ends the session and frees its bytes. If
   * no bytes are staged and the session has recorded this digest, an earlier request failed after it moved the bytes; this request
   * then records the blob. If an earlier request has already recorded it, this one succeeds without a change.
   * @returns a warning if most of a quota is used
   * @throws RegistryError `RANGE_INVALID` | `DIGEST_INVALID` | `BLOB_UPLOAD_UNKNOWN` | `BLOB_UPLOAD_INVALID`; `DENIED` if the blob
   * does not fit into a quota: the session has then ended
   */
  async finish(
    session: SessionKey,
    digest: Digest,
    body: UploadBody,
    pusher: Pusher,
  ): Promise<string | undefined> {
    let warning: string | undefined;
    const commit: Commit = async (lease, staged) => {
      warning = await this.#commit(lease, staged, session.name, digest, pusher);
    };
    const isRecorded = (row: UploadRow): boolean => body.range === undefined && row.digest === digest;
    const run = async (lease: Lease): Promise<void> => {
      const commitRecorded = (): Promise<void> => commit(lease, lease.row);
      if (!isRecorded(lease.row)) {
        await this.#finishWith(lease, digest, body, commit);
      } else if (body.empty && !this.#store.commitMoves) {
        // Staged bytes cannot change after they are recorded, so they are not hashed again.
        await commitRecorded();
      } else {
        await this.#finishWith(lease, digest, body, commit).catch((error) => {
          if (!isGone(error)) throw error;
          return commitRecorded();
        });
      }
      this.#hashes.forget(session.id);
    };
    try {
      await this.#leases.exclusively(session, run, { mayHaveMoved: isRecorded });
    } catch (error) {
      // The first answer was lost, and a proxy or client repeated the request.
      const isRepeat =
        body.empty === true && isUnknown(error) && (await this.#blobs.isUploadedBy(session, digest));
      if (!isRepeat) throw error;
    }
    return warning;
  }

  async #finishWith(lease: Lease, digest: Digest, body: UploadBody, commit: Commit): Promise<void> {
    const received = await this.#take(lease, body);
    const upload = { id: lease.row.id, size: received.hash.size, staged: received.staged };
    const computed = await this.#hashes.digest(received.hash, upload, digestAlgorithm(digest));
    if (computed !== digest) {
      await this.#leases.end(lease, received.staged);
      throw new RegistryError('DIGEST_INVALID', `the content's digest is ${computed}, not ${digest}`);
    }
    await commit(lease, upload);
  }

  async #commit(
    lease: Lease,
    { id, size, staged }: StagedUpload,
    name: RepositoryName,
    digest: Digest,
    pusher: Pusher,
  ): Promise<string | undefined> {
    const { row, writer } = lease;
    const { repository_id: repository, principal: owner } = row;
    const { commitMoves } = this.#store;
    // After the bytes have moved, only the row shows the next request that the upload is complete. This is not needed if no
    // earlier request stored bytes, because the client then sends all of them again.
    if (commitMoves && row.size > 0 && row.digest !== digest) {
      await this.#leases.record(lease, { size, digest, staged });
    }
    const blob = { id, size, staged, writer, repository, name, owner };
    const commit = this.#blobs.commit(blob, digest, pusher).catch(async (error) => {
      // A repetition would be refused too, and the bytes fill the disk until the session expires.
      if (error instanceof QuotaExceeded) await this.#leases.end(lease, staged).catch(() => {});
      throw error;
    });
    const warning = await commit;
    // Garbage collection frees the bytes if this fails.
    if (!commitMoves) await this.#leases.free(row, staged).catch(() => {});
    return warning;
  }

  /** Cancels the session and frees its bytes (end-14). @throws RegistryError `BLOB_UPLOAD_UNKNOWN` | `RANGE_INVALID` */
  async cancel(session: SessionKey): Promise<void> {
    await this.#leases.exclusively(session, (lease) => this.#leases.end(lease));
  }

  /** Checks that the body continues the upload where it ends, and receives it. */
  async #take(lease: Lease, body: UploadBody): Promise<Progress> {
    const { size } = lease.row;
    if (body.range !== undefined && body.range.first !== size) {
      const detail = `the next byte is ${size}, the chunk starts at ${body.range.first}`;
      throw new RegistryError('RANGE_INVALID', detail);
    }
    return this.#receive(lease, await this.#hashes.of(lease.row), body);
  }

  async #receive(lease: Lease, hash: RunningHash, body: UploadBody): Promise<Progress> {
    const { id, size: start } = lease.row;
    const { range } = body;
    const { intake } = lease;
    try {
      const tap = (chunk: Buffer): void => {
        hash.update(chunk);
        this.#leases.received(lease, chunk.length);
        body.received?.(chunk.length);
      };
      const signal = stoppable(intake, body.signal);
      const { staged, interrupted } = await this.#store.append(lease.row, body.open(), { tap, signal });
      const received = { hash, staged };
      if (interrupted) {
        await this.#leases.release(lease, received);
        throw interrupted instanceof RegistryError
          ? interrupted
          : new RegistryError('BLOB_UPLOAD_INVALID', 'the connection closed before the end of the body', {
              cause: interrupted,
            });
      }
      if (range !== undefined && hash.size - start !== range.last - range.first + 1) {
        this.#hashes.forget(id);
        throw new RegistryError(
          'RANGE_INVALID',
          `Content-Range does not match the ${hash.size - start} bytes sent`,
        );
      }
      return received;
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      // The store failed, so the hash is ahead of the file. Progress recorded before this request is still valid.
      this.#hashes.forget(id);
      throw error;
    }
  }
}

type Commit = (lease: Lease, staged: StagedUpload) => Promise<void>;

/** A signal that also aborts when the lease stops the body. */
function stoppable(intake: Lease['intake'], signal: AbortSignal | undefined): AbortSignal {
  const controller = new AbortController();
  intake.stop = (reason) => controller.abort(reason);
  if (signal?.aborted) controller.abort(signal.reason);
  signal?.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
  return controller.signal;
}

function isUnknown(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN';
}
