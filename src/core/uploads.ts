import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Database } from '../db/database.ts';
import { findOrCreateRepository } from '../db/repositories.ts';
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
import type { NamespaceClaim, Pusher } from './namespace-claim.ts';
import { RunningHash } from './running-hash.ts';
import { type Claim, isGone, type Progress, tooManyUploads, UploadClaims } from './upload-claims.ts';
import { UploadHashes } from './upload-hashes.ts';

/** How far a session has come. */
export interface UploadStatus {
  readonly id: string;
  /** Bytes received. */
  readonly size: number;
}

/** A request's bytes, and where it says that they belong. */
export interface UploadBody {
  /** Lets the bytes come; called when nothing stands against them any more. */
  readonly open: () => Readable;
  /** First and last byte by `Content-Range`; absent: append. */
  readonly range?: { readonly first: number; readonly last: number } | undefined;
  /** It is known before {@link open} that no bytes come. */
  readonly empty?: boolean;
  /** Ends the body early, as if the client had hung up. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each chunk's bytes as it comes. */
  readonly received?: ((bytes: number) => void) | undefined;
}

/**
 * Upload sessions. Their state is in SQL, so any replica can go on with any session; the running hash stays here as a
 * cache, and is made again from the staged bytes where it is missing.
 */
export class Uploads {
  readonly #database: Database;
  readonly #store: BlobStore;
  readonly #blobs: Blobs;
  readonly #clock: Clock;
  readonly #limits: UploadLimits;
  readonly #hashes: UploadHashes;
  readonly #claims: UploadClaims;

  constructor(parts: {
    database: Database;
    store: BlobStore;
    blobs: Blobs;
    clock: Clock;
    limits?: UploadLimits;
  }) {
    const { limits = noUploadLimits } = parts;
    this.#limits = limits;
    this.#database = parts.database;
    this.#store = parts.store;
    this.#blobs = parts.blobs;
    this.#clock = parts.clock;
    this.#hashes = new UploadHashes(parts.store);
    this.#claims = new UploadClaims({ ...parts, limits, hashes: this.#hashes });
  }

  /**
   * Opens a session, which is its owner's alone; the repository comes to be with its first one.
   * @param options.chargedTo whose limits it counts against
   * @throws RegistryError `TOOMANYREQUESTS`
   */
  async start(
    name: RepositoryName,
    algorithm: DigestAlgorithm,
    owner: string,
    { claim, chargedTo = owner }: { claim?: NamespaceClaim | undefined; chargedTo?: string } = {},
  ): Promise<UploadStatus> {
    await this.#store.ensureFreeSpace();
    const id = randomUUID();
    const digest = new RunningHash(algorithm).digest();
    await this.#database.transaction(
      async (db) => {
        const now = this.#clock();
        await claim?.prepare(db, now);
        const repository = await findOrCreateRepository(db, name, now);
        const upload = { id, repository, algorithm, digest, owner, chargedTo };
        if (!(await insertUpload(db, upload, now, this.#limits))) {
          throw tooManyUploads(this.#limits, await findUploadUsage(db, chargedTo));
        }
      },
      // A session that a power cut takes along was never promised to anyone: the client opens another.
      { durable: false },
    );
    return { id, size: 0 };
  }

  /** @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async status(session: SessionKey): Promise<UploadStatus> {
    const { id, size } = await this.#claims.find(session);
    return { id, size };
  }

  /**
   * Takes a chunk, or the whole of a stream (end-5). What came before the client hung up is kept.
   * @throws RegistryError `RANGE_INVALID` | `BLOB_UPLOAD_UNKNOWN` | `BLOB_UPLOAD_INVALID`; `TOOMANYREQUESTS` | `DENIED` where more
   *   than the limits allow would be staged, and the session has ended
   */
  async append(session: SessionKey, body: UploadBody): Promise<UploadStatus> {
    await this.#store.ensureFreeSpace();
    return this.#claims.exclusively(session, async (claim) => {
      const received = await this.#take(claim, body);
      await this.#claims.release(claim, received);
      return { id: session.id, size: received.hash.size };
    });
  }

  /**
   * Takes the last bytes, if any, and makes the upload a blob (end-6). A wrong digest ends the session: nothing is
   * stored, and its bytes are freed. Where the staged bytes are gone and the session has recorded this digest, an attempt before
   * this one died between the store and the database: then this one records what that one stored. Where there is no session any
   * more because it ended with this blob, it is done already.
   * @throws RegistryError `RANGE_INVALID` | `DIGEST_INVALID` | `BLOB_UPLOAD_UNKNOWN` | `BLOB_UPLOAD_INVALID`
   */
  async finish(session: SessionKey, digest: Digest, body: UploadBody, pusher: Pusher): Promise<void> {
    const commit: Commit = (claim, staged) => this.#commit(claim, staged, session.name, digest, pusher);
    const isRecorded = (row: UploadRow): boolean => body.range === undefined && row.digest === digest;
    const run = async (claim: Claim): Promise<void> => {
      const commitRecorded = (): Promise<void> => commit(claim, claim.row);
      if (!isRecorded(claim.row)) {
        await this.#finishWith(claim, digest, body, commit);
      } else if (body.empty && !this.#store.commitMoves) {
        // What is recorded of bytes that cannot have changed since needs no second look at them, at whichever replica.
        await commitRecorded();
      } else {
        await this.#finishWith(claim, digest, body, commit).catch((error) => {
          if (!isGone(error)) throw error;
          return commitRecorded();
        });
      }
      this.#hashes.forget(session.id);
    };
    try {
      await this.#claims.exclusively(session, run, { mayHaveMoved: isRecorded });
    } catch (error) {
      // The answer to the first time was lost, and a balancer or a client has sent it once more.
      const isRepeat =
        body.empty === true && isUnknown(error) && (await this.#blobs.isUploadedBy(session, digest));
      if (!isRepeat) throw error;
    }
  }

  async #finishWith(claim: Claim, digest: Digest, body: UploadBody, commit: Commit): Promise<void> {
    const received = await this.#take(claim, body);
    const upload = { id: claim.row.id, size: received.hash.size, staged: received.staged };
    const computed = await this.#hashes.digest(received.hash, upload, digestAlgorithm(digest));
    if (computed !== digest) {
      await this.#claims.end(claim, received.staged);
      throw new RegistryError('DIGEST_INVALID', `the content's digest is ${computed}, not ${digest}`);
    }
    await commit(claim, upload);
  }

  async #commit(
    claim: Claim,
    { id, size, staged }: StagedUpload,
    name: RepositoryName,
    digest: Digest,
    pusher: Pusher,
  ): Promise<void> {
    const { row, writer } = claim;
    const { repository_id: repository, principal: owner } = row;
    const { commitMoves } = this.#store;
    // Once the bytes have moved, only the row can tell the next request that nothing is missing. Where the client was never
    // told that bytes of it are here, it sends all of them again.
    if (commitMoves && row.size > 0 && row.digest !== digest) {
      await this.#claims.record(claim, { size, digest, staged });
    }
    await this.#blobs.commit({ id, size, staged, writer, repository, name, owner }, digest, pusher);
    // What stays is swept.
    if (!commitMoves) await this.#claims.free(row, staged).catch(() => {});
  }

  /** Gives up the session and frees its bytes (end-14). @throws RegistryError `BLOB_UPLOAD_UNKNOWN` | `RANGE_INVALID` */
  async cancel(session: SessionKey): Promise<void> {
    await this.#claims.exclusively(session, (claim) => this.#claims.end(claim));
  }

  /** Checks the place of a request's bytes, and takes them. */
  async #take(claim: Claim, body: UploadBody): Promise<Progress> {
    const { size } = claim.row;
    if (body.range !== undefined && body.range.first !== size) {
      const detail = `the next byte is ${size}, the chunk starts at ${body.range.first}`;
      throw new RegistryError('RANGE_INVALID', detail);
    }
    return this.#receive(claim, await this.#hashes.of(claim.row), body);
  }

  async #receive(claim: Claim, hash: RunningHash, body: UploadBody): Promise<Progress> {
    const { id, size: start } = claim.row;
    const { range } = body;
    const { intake } = claim;
    try {
      const tap = (chunk: Buffer): void => {
        hash.update(chunk);
        this.#claims.received(claim, chunk.length);
        body.received?.(chunk.length);
      };
      const signal = stoppable(intake, body.signal);
      const { staged, interrupted } = await this.#store.append(claim.row, body.open(), { tap, signal });
      const received = { hash, staged };
      if (interrupted) {
        await this.#claims.release(claim, received);
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
          `Content-Range names other bytes than the ${hash.size - start} sent`,
        );
      }
      return received;
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      // The store failed: the hash is ahead of the file. What was recorded before this request still holds.
      this.#hashes.forget(id);
      throw error;
    }
  }
}

type Commit = (claim: Claim, staged: StagedUpload) => Promise<void>;

/** A signal that the claim can give as well. */
function stoppable(intake: Claim['intake'], signal: AbortSignal | undefined): AbortSignal {
  const controller = new AbortController();
  intake.stop = (reason) => controller.abort(reason);
  if (signal?.aborted) controller.abort(signal.reason);
  signal?.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
  return controller.signal;
}

function isUnknown(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN';
}
