import { queueUnheld } from '../db/blob-deletions.ts';
import { isUploadedBy, linkBlob, linkUploaded, listLinksFrom, unlinkBlob } from '../db/blob-links.ts';
import { postponeLinkReview, postponeReview } from '../db/blob-reviews.ts';
import { findBlob, findForCommit, type HeldBlob, recordStored } from '../db/blobs.ts';
import { type Actor, recordChange } from '../db/changes.ts';
import { type Database, ReadOnlyRegistry } from '../db/database.ts';
import { inTurns } from '../db/in-turns.ts';
import { findReferring } from '../db/manifests.ts';
import type { Db } from '../db/prepare.ts';
import type { WithAnyQuota } from '../db/quotas.ts';
import { findRepository, type RepositoryRow } from '../db/repositories.ts';
import { findByAlias } from '../db/repository-names.ts';
import { deleteUpload, type SessionKey } from '../db/uploads.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Steps } from '../oci/steps.ts';
import {
  type BlobStore,
  type ByteRange,
  blobKey,
  type OpenBlob,
  type StagedUpload,
} from '../storage/blob-store.ts';
import { checkIdentity } from './another-repository.ts';
import { checkBytes } from './check-bytes.ts';
import type { Clock } from './clock.ts';
import { damagedBlob } from './damaged-blob.ts';
import { findOrCreatePushed } from './pushed-repository.ts';
import type { Pusher } from './pusher.ts';
import {
  isLimited,
  noQuotas,
  type QuotaDefaults,
  QuotaExceeded,
  requireSpace,
  type Target,
} from './quotas.ts';

/** A blob that a repository holds. */
export interface Blob {
  readonly digest: Digest;
  readonly size: number;
  readonly generation: number;
}

/** Milliseconds after which a further check of the same blob writes again. */
const postponeSlack = 60_000;

/** Number of repositories that a mount without `from` checks for one that the caller may pull; the same for every digest. */
const candidates = 20;

/** A mounted blob; `warning`: most of a quota is used. */
export interface Mounted {
  readonly warning: string | undefined;
}

/** The bytes of blobs, and the repositories that hold them. */
export class Blobs {
  readonly #database: Database;
  readonly #store: BlobStore;
  readonly #clock: Clock;
  readonly #quotas: QuotaDefaults;

  constructor(parts: { database: Database; store: BlobStore; clock: Clock; quotas?: QuotaDefaults }) {
    this.#quotas = parts.quotas ?? noQuotas;
    this.#database = parts.database;
    this.#store = parts.store;
    this.#clock = parts.clock;
  }

  /**
   * @param repository id of the repository that the caller was authorized for, if known
   * @throws RegistryError `BLOB_UNKNOWN` if this repository does not hold it; `UNKNOWN` if its bytes are damaged; AnotherRepository
   */
  async find(name: RepositoryName, digest: Digest, repository?: number): Promise<Blob> {
    const held = await this.#held(name, digest, repository);
    if (held.damaged_at !== null) throw damagedBlob(digest);
    return toBlob(digest, held);
  }

  /**
   * {@link find} for a client that may push: it will upload the blob only if the repository does not hold it. So the blob is kept for
   * another grace period, in which a manifest can reference it. A damaged blob is unknown, so that the client replaces it.
   * @throws RegistryError `BLOB_UNKNOWN`; AnotherRepository
   */
  async findForPush(name: RepositoryName, digest: Digest, repository?: number): Promise<Blob> {
    const held = await this.#undamaged(name, digest, repository);
    const { repository_id: id, review_at: review } = held;
    const now = this.#clock();
    if (review === null || review >= now - postponeSlack) return toBlob(digest, held);
    await this.#database
      .transaction((db) => postponeLinkReview(db, id, digest, now))
      .catch((error) => {
        // Nothing is collected while the registry is read-only.
        if (!(error instanceof ReadOnlyRegistry)) throw error;
      });
    // The blob may have been removed before the transaction.
    return toBlob(digest, await this.#undamaged(name, digest, repository));
  }

  async #undamaged(name: RepositoryName, digest: Digest, repository: number | undefined): Promise<HeldBlob> {
    const held = await this.#held(name, digest, repository);
    if (held.damaged_at !== null) throw new RegistryError('BLOB_UNKNOWN', { name, digest });
    return held;
  }

  async #held(name: RepositoryName, digest: Digest, repository: number | undefined): Promise<HeldBlob> {
    const { read } = this.#database;
    const blob = await findBlob(read, name, digest);
    if (repository !== undefined) {
      checkIdentity(repository, blob ? blob.repository_id : await findRepository(read, name));
    }
    if (blob === undefined) throw new RegistryError('BLOB_UNKNOWN', { name, digest });
    return blob;
  }

  /** Whether this session committed the blob and its repository still holds it. False for a session of another owner. */
  isUploadedBy(session: SessionKey, digest: Digest): Promise<boolean> {
    return isUploadedBy(this.#database.read, session, digest);
  }

  /** The blob's bytes, or a range of them; the caller closes them. */
  async open({ digest, size, generation }: Blob, range?: ByteRange): Promise<OpenBlob> {
    const opened = await this.#store.read(blobKey(digest, generation), range);
    if (opened?.size === size) return opened;
    // The bytes do not match the row: a fault of the storage. The answer is an error, never BLOB_UNKNOWN or wrong bytes.
    opened?.close();
    throw new Error(`${digest} should have ${size} bytes, the store has ${opened?.size ?? 'none'}`);
  }

  /** A URL from which the client can fetch the bytes, if the store offers one. */
  async redirectUrl({ digest, generation }: Blob): Promise<string | undefined> {
    return this.#store.redirectUrl?.(blobKey(digest, generation), this.#clock());
  }

  /**
   * Makes a staged upload, whose bytes were hashed to `digest`, a blob of the repository. Durable on return.
   * Bytes first, row second: a crash in between leaves a file without a row, which garbage collection parks. The generation is read before
   * the bytes move, and compared when they are recorded. If the row has a later one by then, a deletion was decided that will
   * remove the bytes under the old key. The bytes of a damaged blob are read back, because a store takes a repeated commit for done when
   * it finds bytes of the right size under the key.
   * @returns a warning if most of a quota is used
   * @throws RegistryError `DENIED` if the blob does not fit into a quota
   */
  async commit(
    upload: StagedUpload & {
      readonly writer: string;
      readonly repository: number;
      readonly name: RepositoryName;
      readonly owner: string;
    },
    digest: Digest,
    { by, namespace }: Pusher,
  ): Promise<string | undefined> {
    const { size, name, repository } = upload;
    const { read } = this.#database;
    const { generation, isDamaged, any_quota } = await findForCommit(read, digest);
    if (isLimited(this.#quotas, any_quota)) {
      // Again below, where it cannot change any more. Here the staged bytes can still be freed.
      const whole = { bytes: size, digest };
      await requireSpace(read, this.#quotas, { id: repository, name }, { upload: whole });
    }
    await this.#store.commit(upload, blobKey(digest, generation));
    if (isDamaged) {
      const found = await checkBytes(this.#store, { digest, generation, size });
      if (found !== undefined)
        throw new Error(`the new bytes of ${digest} are damaged too: ${found.problem}`);
    }
    const committed = this.#database.transaction(async (db) => {
      const now = this.#clock();
      await namespace?.make(db, by, now);
      const recorded = await recordStored(db, { digest, size, generation }, now);
      if (recorded === undefined) {
        throw new RegistryError('UNAVAILABLE', 'the blob was being deleted; push it again');
      }
      if (!(await deleteUpload(db, upload.id, upload.writer))) {
        throw new RegistryError(
          'BLOB_UPLOAD_UNKNOWN',
          'another request took over the upload, or it was cancelled',
        );
      }
      const warning = await this.#admit(db, { id: repository, name }, digest, recorded);
      await linkUploaded(db, repository, digest, upload, now);
      const change = { repository: name, repositoryId: repository, newDigest: digest };
      await recordChange(db, by, { kind: 'blob.push', ...change }, now);
      if (isDamaged) await recordChange(db, by, { kind: 'blob.healed', newDigest: digest }, now);
      return warning;
    });
    return committed.catch(async (error) => {
      if (error instanceof QuotaExceeded) await this.#discard({ digest, size, generation });
      throw error;
    });
  }

  /**
   * Adds a blob of `from` (or, without it, of any repository) to `name`, without moving a byte (end-11). False if the blob cannot
   * be mounted, or is damaged; the client then uploads it. A repository that `mayPull` refuses gets the same queries and the same
   * answer as one that does not hold the blob.
   */
  async mount(
    name: RepositoryName,
    digest: Digest,
    from: RepositoryName | undefined,
    mayPull: MayPull,
    { by, namespace, repository: authorized }: Pusher,
  ): Promise<Mounted | false> {
    // Look first without a transaction, because most mounts of containerd and BuildKit find nothing.
    const { read } = this.#database;
    const source = await (from === undefined
      ? findSource(read, digest, mayPull)
      : findIn(read, digest, from, mayPull, this.#clock()));
    if (source === undefined) return false;
    const mounted = this.#database.transaction(async (db) => {
      const now = this.#clock();
      await namespace?.make(db, by, now);
      const repository = await findOrCreatePushed(db, this.#quotas, name, authorized, now);
      // From here on the blob can neither be deleted nor removed from `from`.
      const locked = await postponeReview(db, digest, now);
      if (locked === undefined) throw new SourceGone();
      const held = await findBlob(db, source.name, digest);
      // Compares ids: another repository may have the name by now.
      if (held?.repository_id !== source.id || held.damaged_at !== null) throw new SourceGone();
      const warning = await this.#admit(db, { id: repository, name }, digest, locked);
      await linkBlob(db, repository, digest, now);
      const change = { repository: name, repositoryId: repository, newDigest: digest };
      await recordChange(
        db,
        by,
        { kind: 'blob.mount', ...change, detail: from && { from: source.name } },
        now,
      );
      return { warning };
    });
    return mounted.catch((error): false => {
      if (error instanceof SourceGone) return false;
      throw error;
    });
  }

  /** Records the moved bytes of a refused blob, which no repository holds, so that garbage collection deletes them. */
  async #discard(blob: { digest: Digest; size: number; generation: number }): Promise<void> {
    await this.#database.transaction(async (db) => {
      const now = this.#clock();
      if (await recordStored(db, blob, now)) await queueUnheld(db, [blob.digest], now);
    });
  }

  /** Checks the quotas before a blob is linked. The blob is locked. */
  async #admit(
    db: Db,
    target: Target,
    digest: Digest,
    { any_quota }: WithAnyQuota,
  ): Promise<string | undefined> {
    if (!isLimited(this.#quotas, any_quota)) return undefined;
    return requireSpace(db, this.#quotas, target, { blobs: [digest] });
  }

  /**
   * Removes the blob from the repository (end-10); its bytes stay while other repositories hold it.
   * @throws RegistryError `BLOB_UNKNOWN`; `UNSUPPORTED` while a manifest of the repository needs it
   */
  async delete(name: RepositoryName, digest: Digest, by: Actor): Promise<void> {
    await this.#database.transaction(async (db) => {
      const now = this.#clock();
      const repository = await findRepository(db, name);
      const isHeld = async () => (await findBlob(db, name, digest)) !== undefined;
      const held =
        repository !== undefined &&
        // Blobs of other repositories are not locked: that would take longer than for unknown blobs.
        (await isHeld()) &&
        // From here on no manifest that needs the blob can be pushed.
        (await postponeReview(db, digest, now)) !== undefined &&
        (await isHeld());
      if (!held) throw new RegistryError('BLOB_UNKNOWN', { name, digest });
      const manifest = await findReferring(db, repository, digest);
      if (manifest !== undefined) {
        throw new RegistryError(
          'UNSUPPORTED',
          `manifest ${manifest} needs this blob; delete the manifest first`,
        );
      }
      await unlinkBlob(db, repository, digest);
      await queueUnheld(db, [digest], now);
      const change = { repository: name, repositoryId: repository, oldDigest: digest };
      await recordChange(db, by, { kind: 'blob.delete', ...change }, now);
    });
  }
}

function toBlob(digest: Digest, { size, generation }: HeldBlob): Blob {
  return { digest, size, generation };
}

/** Whether the caller may pull from a repository; `asked` is the name in the request if it is an alias. */
type MayPull = (repository: RepositoryRow, asked?: RepositoryName) => boolean;

/** The source changed between the check and the transaction, which is rolled back. */
class SourceGone extends Error {}

async function findIn(
  db: Db,
  digest: Digest,
  name: RepositoryName,
  mayPull: MayPull,
  now: number,
): Promise<RepositoryRow | undefined> {
  const blob = await findBlob(db, name, digest);
  const source = blob && { id: blob.repository_id, name, visibility: blob.visibility };
  if (source && mayPull(source)) return blob.damaged_at === null ? source : undefined;
  // Always looked up then, so that the time does not reveal whether a hidden repository holds the blob.
  const renamed = await findByAlias(db, name, now);
  if (renamed === undefined || !mayPull(renamed, name)) return undefined;
  const held = await findBlob(db, renamed.name, digest);
  return held?.repository_id === renamed.id && held.damaged_at === null ? renamed : undefined;
}

/** Calls `mayPull` for all links, even those to other digests, so that the time does not reveal how many hold the blob. */
async function findSource(db: Db, digest: Digest, mayPull: MayPull): Promise<RepositoryRow | undefined> {
  const pullable = await inTurns(choose(await listLinksFrom(db, digest, candidates), mayPull));
  return pullable.find(
    ({ digest: found, state, damaged_at: damaged, trashed_at: trashed }) =>
      found === digest && state === 'stored' && damaged === null && trashed === null,
  );
}

/** Yields between repositories, because `mayPull` is slow for a credential with many patterns. */
function* choose<R extends RepositoryRow>(repositories: readonly R[], mayPull: MayPull): Steps<R[]> {
  const chosen: R[] = [];
  for (const repository of repositories) {
    if (mayPull(repository)) chosen.push(repository);
    yield;
  }
  return chosen;
}
