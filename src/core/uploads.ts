import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Database } from '../db/database.ts';
import { findOrCreateRepository } from '../db/repositories.ts';
import {
  type ClaimableUpload,
  claimUpload,
  deleteUpload,
  findUpload,
  insertUpload,
  moveStaged,
  releaseUpload,
  renewClaim,
  type SessionKey,
  type UploadRow,
} from '../db/uploads.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import { type BlobStore, type StagedUpload, UploadLost } from '../storage/blob-store.ts';
import type { Blobs } from './blobs.ts';
import type { Clock } from './clock.ts';
import type { NamespaceClaim } from './namespace-claim.ts';
import { RunningHash } from './running-hash.ts';

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

/** Milliseconds a writer keeps a session without renewing; what a resume on another replica waits for after a crash. */
const lease = 15_000;
const maxRunningHashes = 10_000;

/** A session that this process writes to. */
interface Claim {
  readonly row: UploadRow;
  readonly writer: string;
}

/** A claimed session with the bytes of this request. */
interface Received {
  readonly claim: Claim;
  readonly hash: RunningHash;
  /** Where the store has them. */
  readonly staged: string;
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
  readonly #hashes = new Map<string, RunningHash>();
  /** Sessions that this process writes to; a lease that ran out while it slept does not let a second writer in. */
  readonly #writing = new Set<string>();

  constructor(parts: { database: Database; store: BlobStore; blobs: Blobs; clock: Clock }) {
    this.#database = parts.database;
    this.#store = parts.store;
    this.#blobs = parts.blobs;
    this.#clock = parts.clock;
  }

  /** Opens a session, which is its owner's alone; the repository comes to be with its first one. */
  async start(
    name: RepositoryName,
    algorithm: DigestAlgorithm,
    owner: string,
    claim?: NamespaceClaim,
  ): Promise<UploadStatus> {
    await this.#store.checkRoom();
    const id = randomUUID();
    const digest = new RunningHash(algorithm).digest();
    await this.#database.transaction(
      async (db) => {
        const now = this.#clock();
        await claim?.prepare(db, now);
        const repository = await findOrCreateRepository(db, name, now);
        await insertUpload(db, { id, repository, algorithm, digest, owner }, now);
      },
      // A session that a power cut takes along was never promised to anyone: the client opens another.
      { durable: false },
    );
    return { id, size: 0 };
  }

  /** @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async status(session: SessionKey): Promise<UploadStatus> {
    const { id, size } = await this.#find(session);
    return { id, size };
  }

  /**
   * Takes a chunk, or the whole of a stream (end-5). What came before the client hung up is kept.
   * @throws RegistryError `RANGE_INVALID` | `BLOB_UPLOAD_UNKNOWN` | `BLOB_UPLOAD_INVALID`
   */
  async append(session: SessionKey, body: UploadBody): Promise<UploadStatus> {
    await this.#store.checkRoom();
    return this.#exclusively(session, async (claim) => {
      const received = await this.#take(claim, body);
      await this.#release(received);
      return { id: session.id, size: received.hash.size };
    });
  }

  /**
   * Takes the last bytes, if any, and makes the upload a blob (end-6). A wrong digest ends the session: nothing is
   * stored, and its bytes are freed. Where none come and the staged ones are gone, an attempt before this one may have died between
   * the store and the database: then this one records what that one stored. Where there is no session any more because it ended
   * with this blob, it is done already.
   * @throws RegistryError `RANGE_INVALID` | `DIGEST_INVALID` | `BLOB_UPLOAD_UNKNOWN` | `BLOB_UPLOAD_INVALID`
   */
  async finish(
    session: SessionKey,
    digest: Digest,
    body: UploadBody,
    namespace?: NamespaceClaim,
  ): Promise<void> {
    const nothingComes = body.empty === true && body.range === undefined;
    const isRecorded = (row: UploadRow): boolean => nothingComes && row.digest === digest;
    const run = async (claim: Claim): Promise<void> => {
      const commitRecorded = (): Promise<void> => this.#commit(claim, claim.row, digest, namespace);
      if (!isRecorded(claim.row)) {
        await this.#finishWith(claim, digest, body, namespace);
      } else if (this.#store.stagesDurably) {
        // What is recorded of bytes that cannot have changed since needs no second look at them, at whichever replica.
        await commitRecorded();
      } else {
        await this.#finishWith(claim, digest, body, namespace).catch((error) => {
          if (!isGone(error)) throw error;
          return commitRecorded();
        });
      }
      this.#hashes.delete(session.id);
    };
    try {
      await this.#exclusively(session, run, { mayHaveMoved: isRecorded });
    } catch (error) {
      // The answer to the first time was lost, and a balancer or a client has sent it once more.
      const isRepeat =
        body.empty === true && isUnknown(error) && (await this.#blobs.isUploadedBy(session, digest));
      if (!isRepeat) throw error;
    }
  }

  async #finishWith(
    claim: Claim,
    digest: Digest,
    body: UploadBody,
    namespace: NamespaceClaim | undefined,
  ): Promise<void> {
    const received = await this.#take(claim, body);
    const upload = { id: claim.row.id, size: received.hash.size, staged: received.staged };
    const computed = await this.#digest(received.hash, upload, digestAlgorithm(digest));
    if (computed !== digest) {
      await this.#end(claim);
      throw new RegistryError('DIGEST_INVALID', `the content's digest is ${computed}, not ${digest}`);
    }
    try {
      await this.#commit(claim, upload, digest, namespace);
    } catch (error) {
      // The bytes may have moved already; a repeated PUT without a body finds them.
      if (!(error instanceof UploadLost)) await this.#release(received).catch(() => {});
      throw error;
    }
  }

  #commit(
    { row, writer }: Claim,
    { id, size, staged }: StagedUpload,
    digest: Digest,
    namespace: NamespaceClaim | undefined,
  ): Promise<void> {
    const { repository_id: repository, principal: owner } = row;
    return this.#blobs.commit({ id, size, staged, writer, repository, owner }, digest, namespace);
  }

  /** Gives up the session and frees its bytes (end-14). @throws RegistryError `BLOB_UPLOAD_UNKNOWN` | `RANGE_INVALID` */
  async cancel(session: SessionKey): Promise<void> {
    await this.#exclusively(session, (claim) => this.#end(claim));
  }

  async #find(session: SessionKey): Promise<ClaimableUpload> {
    const row = await findUpload(this.#database.read, session);
    if (row === undefined) throw unknownUpload();
    return row;
  }

  /**
   * One writer a session: two bodies would be interleaved (R16).
   *
   * @param mayHaveMoved whether `run` can do with staged bytes that are gone, as they may be a blob's already
   */
  async #exclusively<T>(
    session: SessionKey,
    run: (claim: Claim) => Promise<T>,
    { mayHaveMoved = () => false }: { mayHaveMoved?: (row: UploadRow) => boolean } = {},
  ): Promise<T> {
    const { id, writer: before } = await this.#find(session);
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
        const claim = { row, writer };
        const held = before === null ? claim : await this.#adopt(claim, mayHaveMoved(row));
        return await this.#holding(held, run);
      }
      // Either another process writes, or the session ended since it was found.
      await this.#find(session);
      throw busy();
    } finally {
      this.#writing.delete(id);
    }
  }

  /**
   * The writer before did not release its claim: it died, or sleeps, or runs behind a network that is cut. Whatever it writes
   * when it wakes must not be among the bytes that count. When this fails the claim is left to run out, so that the next
   * writer has to do it.
   */
  async #adopt({ row, writer }: Claim, mayHaveMoved: boolean): Promise<Claim> {
    try {
      const staged = await this.#store.adopt(row);
      const held = await this.#database.transaction((db) => moveStaged(db, { id: row.id, writer, staged }), {
        durable: false,
      });
      if (!held) throw unknownUpload();
      return { row: { ...row, staged }, writer };
    } catch (error) {
      if (!(error instanceof UploadLost)) throw error;
      // Bytes that are gone are nobody's to write to.
      if (mayHaveMoved && isGone(error)) return { row, writer };
      return this.#endLost({ row, writer }, error);
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

  /** Checks the place of a request's bytes, and takes them. */
  async #take(claim: Claim, body: UploadBody): Promise<Received> {
    const { size } = claim.row;
    if (body.range !== undefined && body.range.first !== size) {
      const detail = `the next byte is ${size}, the chunk starts at ${body.range.first}`;
      throw new RegistryError('RANGE_INVALID', detail);
    }
    return this.#receive(claim, await this.#hashOf(claim), body);
  }

  async #receive(claim: Claim, hash: RunningHash, body: UploadBody): Promise<Received> {
    const { id, size: start } = claim.row;
    const { range, signal } = body;
    try {
      const tap = (chunk: Buffer): void => {
        hash.update(chunk);
        body.received?.(chunk.length);
      };
      const { staged, interrupted } = await this.#store.append(claim.row, body.open(), { tap, signal });
      const received = { claim, hash, staged };
      if (interrupted) {
        await this.#release(received);
        throw interrupted instanceof RegistryError
          ? interrupted
          : new RegistryError('BLOB_UPLOAD_INVALID', 'the body ended before its end', { cause: interrupted });
      }
      if (range !== undefined && hash.size - start !== range.last - range.first + 1) {
        this.#hashes.delete(id);
        throw new RegistryError(
          'RANGE_INVALID',
          `Content-Range names other bytes than the ${hash.size - start} sent`,
        );
      }
      return received;
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      // The store failed: the hash is ahead of the file. What was recorded before this request still holds.
      this.#hashes.delete(id);
      throw error;
    }
  }

  async #hashOf(claim: Claim): Promise<RunningHash> {
    const { id, size, algorithm, digest } = claim.row;
    const cached = this.#hashes.get(id);
    // The digest as well: another replica may have come as far with other bytes.
    if (cached?.size === size && cached.algorithm === algorithm && cached.digest() === digest) return cached;
    let hash = new RunningHash(algorithm);
    if (size > 0) {
      hash = await RunningHash.of(algorithm, await this.#store.readUpload(claim.row));
      // After a power cut the staged file may be as long as recorded and hold other bytes.
      if (hash.digest() !== digest) throw new UploadLost(id, size);
    }
    this.#remember(id, hash);
    return hash;
  }

  #remember(id: string, hash: RunningHash): void {
    if (this.#hashes.size >= maxRunningHashes) {
      const [oldest] = this.#hashes.keys();
      this.#hashes.delete(oldest as string);
    }
    this.#hashes.set(id, hash);
  }

  /** The digest asked for may be in another algorithm than the session hashed with; then the bytes are read again. */
  async #digest(hash: RunningHash, upload: StagedUpload, algorithm: DigestAlgorithm): Promise<Digest> {
    if (hash.algorithm === algorithm) return hash.digest();
    if (hash.size === 0) return new RunningHash(algorithm).digest();
    return (await RunningHash.of(algorithm, await this.#store.readUpload(upload))).digest();
  }

  async #renew({ row, writer }: Claim): Promise<void> {
    const now = this.#clock();
    await this.#database
      .transaction((db) => renewClaim(db, row.id, { writer, until: now + lease, now }), { durable: false })
      // A lease that could not be renewed ends by itself; the commit notices.
      .catch(() => {});
  }

  async #release({ claim, hash, staged }: Received): Promise<void> {
    const { algorithm, size } = hash;
    const { row, writer } = claim;
    const upload = { id: row.id, writer, algorithm, size, digest: hash.digest(), staged };
    const held = await this.#database.transaction((db) => releaseUpload(db, upload, this.#clock()), {
      durable: false,
    });
    if (!held) throw unknownUpload();
  }

  /** Ends the claim with the session as it was before this request. */
  async #giveBack({ row, writer }: Claim): Promise<void> {
    await this.#database.transaction((db) => releaseUpload(db, { ...row, writer }, this.#clock()), {
      durable: false,
    });
  }

  async #end({ row, writer }: Claim): Promise<void> {
    this.#hashes.delete(row.id);
    // The row first: staged bytes without a session are swept, a session without its bytes would mislead.
    await this.#database.transaction((db) => deleteUpload(db, row.id, writer), { durable: false });
    await this.#store.abort(row);
  }

  async #endLost(claim: Claim, cause: UploadLost): Promise<never> {
    await this.#end(claim);
    throw new RegistryError('BLOB_UPLOAD_UNKNOWN', 'the bytes sent so far were lost; start again', { cause });
  }
}

/** Nothing is staged, as opposed to something else. */
function isGone(error: unknown): boolean {
  return error instanceof UploadLost && error.found === undefined;
}

function isUnknown(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN';
}

function busy(): RegistryError {
  return new RegistryError('RANGE_INVALID', 'another request is writing to this upload');
}

function unknownUpload(): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN');
}
