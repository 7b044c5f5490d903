import { lockHeld, lockReferenced } from '../db/blob-reviews.ts';
import { type Actor, recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { inTurns } from '../db/in-turns.ts';
import { lockTags } from '../db/locks.ts';
import {
  ensureManifest,
  findManifestByDigest,
  findManifestByTag,
  findManifestContent,
  heldManifests,
  insertReferences,
  lockManifestShared,
  type ManifestRow,
  type NewManifest,
} from '../db/manifests.ts';
import { nextTurn, nextTurnInTransaction } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { findRepository, lockRepositoryShared } from '../db/repositories.ts';
import { findTag } from '../db/tags.ts';
import { type Digest, digestAlgorithm } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type Manifest, readManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { printReference, type Reference, type Tag } from '../oci/reference.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { checkIdentity } from './another-repository.ts';
import type { Clock } from './clock.ts';
import { type DeletionRules, deleteTagOnly, deleteWithTags } from './delete-image.ts';
import { type ManifestCache, manifestCache, type StoredManifest } from './manifest-cache.ts';
import { moveTags } from './move-tags.ts';
import { findOrCreatePushed } from './pushed-repository.ts';
import type { Pusher } from './pusher.ts';
import { noQuotas, type QuotaDefaults } from './quotas.ts';
import { digestBytes } from './running-hash.ts';

/** Which references of a pushed manifest may be missing; its subject and non-distributable layers may always be. */
export type MissingReferences = 'none' | 'children' | 'all';

/** The digests that the reference is expected to point to (RFC 9110, 13.1); `'*'`: any. */
export interface Conditions {
  readonly ifMatch?: readonly string[] | '*' | undefined;
  readonly ifNoneMatch?: readonly string[] | '*' | undefined;
}

export interface ManifestPush extends Pusher {
  readonly contentType: string | undefined;
  readonly bytes: Buffer;
  /** Tags to set together with a manifest that is pushed by digest (end-7b). */
  readonly tags: readonly Tag[];
  readonly conditions: Conditions;
  readonly rights: PushRights;
}

/** The rights of a push. The push knows which of them it needs only after it has locked the tags. */
export interface PushRights {
  /** Add content and new tags. */
  readonly mayCreate: boolean;
  /** Move an existing tag. */
  readonly mayUpdate: boolean;
}

export interface PushedManifest {
  /** The repository's id. */
  readonly repository: number;
  readonly digest: Digest;
  readonly manifest: Manifest;
  /** As JSON. */
  readonly annotations: string | null;
  readonly bytes: Buffer;
}

/** The row of a manifest. */
export function newManifestOf({ manifest, ...rest }: PushedManifest): NewManifest {
  const { mediaType, subject, artifactType } = manifest;
  return { ...rest, mediaType, subject: subject?.digest ?? null, artifactType: artifactType ?? null };
}

/** A manifest of at least this many bytes is read, hashed, parsed, inserted and committed in separate turns of the event loop. */
const largeManifest = 256 << 10;

/** Manifests, and the tags that point to them. */
export class Manifests {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #missing: MissingReferences;
  readonly #deletions: DeletionRules;
  readonly #quotas: QuotaDefaults;
  readonly #cache: ManifestCache;

  /**
   * @param parts.immutableTags the configured rules, for every repository
   * @param parts.trash whether the trash keeps what is deleted; not if absent
   * @param parts.quotas the configured quotas; absent: none
   */
  constructor(parts: {
    database: Database;
    clock: Clock;
    missingReferences: MissingReferences;
    immutableTags: readonly TagRule[];
    trash?: boolean;
    quotas?: QuotaDefaults;
  }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#missing = parts.missingReferences;
    this.#deletions = { immutableTags: parts.immutableTags, trash: parts.trash ?? false };
    this.#quotas = parts.quotas ?? noQuotas;
    this.#cache = manifestCache();
  }

  /**
   * @param repository id of the repository that the caller was authorized for, if known
   * @throws RegistryError `NAME_UNKNOWN` | `MANIFEST_UNKNOWN`; AnotherRepository
   */
  async get(name: RepositoryName, reference: Reference, repository?: number): Promise<StoredManifest> {
    const { read } = this.#database;
    // The row is looked up each time, because a tag may move. The content of a row never changes, so it is cached.
    const row = await findByReference(read, name, reference);
    if (repository !== undefined) {
      checkIdentity(repository, row ? row.repository_id : await findRepository(read, name));
    }
    if (row === undefined) throw await this.#unknown(read, name, reference);
    const manifest = this.#cache.get(row.id) ?? (await this.#read(row));
    if (manifest === undefined) throw await this.#unknown(read, name, reference);
    return manifest;
  }

  /** Reads a manifest into the cache. */
  async #read({ id, digest, size }: ManifestRow): Promise<StoredManifest | undefined> {
    if (size >= largeManifest) {
      await nextTurn();
      const cached = this.#cache.get(id);
      if (cached !== undefined) return cached;
    }
    const content = await findManifestContent(this.#database.read, id);
    if (content === undefined) return undefined;
    const { bytes, media_type: mediaType } = content;
    const manifest = {
      id,
      digest,
      mediaType,
      bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
    };
    // Verified when the manifest enters the cache: neither SQLite nor PostgreSQL notices a byte that changed on the disk.
    const actual = digestBytes(digestAlgorithm(digest), manifest.bytes);
    if (actual !== digest) throw new Error(`manifest ${digest} has the bytes of ${actual}`);
    this.#cache.set(id, manifest);
    return manifest;
  }

  /**
   * Stores a manifest and moves the tags, all in one transaction (end-7). Durable on return. `warning`: most of a quota is used.
   * @throws RegistryError `MANIFEST_INVALID` | `DIGEST_INVALID` | `MANIFEST_BLOB_UNKNOWN` | `PRECONDITION_FAILED` | `DENIED`
   */
  async put(
    name: RepositoryName,
    reference: Reference,
    push: ManifestPush,
  ): Promise<{ digest: Digest; subject: Digest | undefined; warning: string | undefined }> {
    const { bytes } = push;
    const isLarge = bytes.length >= largeManifest;
    if (isLarge) await nextTurn();
    const algorithm = reference.kind === 'digest' ? digestAlgorithm(reference.digest) : 'sha256';
    const digest = digestBytes(algorithm, bytes);
    if (reference.kind === 'digest' && reference.digest !== digest) {
      throw new RegistryError(
        'DIGEST_INVALID',
        `the manifest's digest is ${digest}, not ${reference.digest}`,
      );
    }
    const manifest = await inTurns(readManifest(bytes, push.contentType));
    const annotations = manifest.annotations ? JSON.stringify(manifest.annotations) : null;
    if (isLarge) await nextTurn();
    // In a fixed order, so that requests which change several tags do not deadlock.
    const tags = reference.kind === 'tag' ? [reference.tag] : [...push.tags].sort();
    const warning = await this.#database.transaction(async (db) => {
      const now = this.#clock();
      await push.namespace?.make(db, push.by, now);
      const repository = await findOrCreatePushed(db, this.#quotas, name, push.repository, now);
      await lockTags(db, repository, tags);
      await checkRights(db, repository, digest, tags, push.rights);
      await checkConditions(db, name, repository, reference, push.conditions);
      const { id } = await this.store(db, { repository, digest, manifest, annotations, bytes }, now);
      const change = { kind: 'manifest.push', repository: name, repositoryId: repository, newDigest: digest };
      const advice = '; push another tag';
      const move = { tags, manifest: id, now, advice, quotas: this.#quotas };
      const warning = await moveTags(db, push.by, this.#deletions.immutableTags, change, move);
      if (tags.length === 0) await recordChange(db, push.by, change, now);
      if (isLarge) await nextTurnInTransaction();
      return warning;
    });
    return { digest, subject: manifest.subject?.digest, warning };
  }

  /**
   * Deletes only the tag, or for a digest the manifest and every tag that points to it (end-9). Durable on return.
   * @throws RegistryError `NAME_UNKNOWN` | `MANIFEST_UNKNOWN` | `PRECONDITION_FAILED` | `DENIED`
   */
  async delete(
    name: RepositoryName,
    reference: Reference,
    by: Actor,
    conditions: Conditions = {},
  ): Promise<void> {
    await this.#database.transaction(async (db) => {
      const now = this.#clock();
      const repository = await lockRepositoryShared(db, name);
      if (repository === undefined) throw await this.#unknown(db, name, reference);
      if (reference.kind === 'tag') await lockTags(db, repository, [reference.tag]);
      const row = await findByReference(db, name, reference);
      if (row === undefined) throw await this.#unknown(db, name, reference);
      refuseUnmet(reference, row.digest, conditions);
      const deletion = { repository, name, by, now };
      const isDeleted =
        reference.kind === 'tag'
          ? await deleteTagOnly(db, this.#deletions, deletion, reference.tag, row.digest)
          : await deleteWithTags(db, this.#deletions, deletion, reference.digest);
      // Another transaction may have deleted the manifest, with the tag, before it was locked.
      if (!isDeleted) throw await this.#unknown(db, name, reference);
    });
  }

  /**
   * Stores a manifest with its references, unless the repository holds it. Must run in the transaction that sets its tags.
   * @returns its row id, and whether it was stored now
   * @throws RegistryError `MANIFEST_INVALID` | `MANIFEST_BLOB_UNKNOWN`
   */
  async store(db: Db, pushed: PushedManifest, now: number): Promise<{ id: number; isNew: boolean }> {
    const { repository, digest, manifest } = pushed;
    const blobs = new Set(manifest.blobs.map((blob) => blob.digest));
    const children = new Set(manifest.children.map((child) => child.digest));
    const needed = new Set([...blobs, ...children]);
    if (this.#missing === 'all') {
      await lockReferenced(db, needed);
    } else {
      const held = await lockHeld(db, repository, needed);
      await this.#checkReferences(db, repository, { held, blobs, children });
    }
    const row = newManifestOf(pushed);
    const { id, media_type: mediaType, isNew } = await ensureManifest(db, row, now);
    if (mediaType !== manifest.mediaType) {
      throw new RegistryError(
        'MANIFEST_INVALID',
        `${digest} is already stored with the media type ${mediaType}`,
      );
    }
    if (isNew) {
      await insertReferences(db, id, 'blob', blobs);
      await insertReferences(db, id, 'child', children);
    }
    return { id, isNew };
  }

  async #checkReferences(
    db: Db,
    repository: number,
    { held, blobs, children }: { held: Set<string>; blobs: Set<Digest>; children: Set<Digest> },
  ): Promise<void> {
    const needed = this.#missing === 'none' ? new Set([...blobs, ...children]) : blobs;
    // A child may be a blob or a manifest: BuildKit's cache exports are indexes that list layers.
    if (this.#missing === 'none' && children.size > 0)
      for (const digest of await heldManifests(db, repository, children)) held.add(digest);
    const missing = [...needed].filter((digest) => !held.has(digest));
    if (missing.length > 0) {
      throw new RegistryError(
        'MANIFEST_BLOB_UNKNOWN',
        missing.map((digest) => ({ digest })),
      );
    }
  }

  /** The error for a missing reference: NAME_UNKNOWN or MANIFEST_UNKNOWN. */
  async #unknown(db: Db, name: RepositoryName, reference: Reference): Promise<RegistryError> {
    return (await findRepository(db, name)) === undefined
      ? new RegistryError('NAME_UNKNOWN', { name })
      : new RegistryError('MANIFEST_UNKNOWN', { name, reference: printReference(reference) });
  }
}

/** The manifest that the reference points to, if the repository exists and holds it. */
export function findByReference(
  db: Db,
  name: RepositoryName,
  reference: Reference,
): Promise<ManifestRow | undefined> {
  return reference.kind === 'tag'
    ? findManifestByTag(db, name, reference.tag)
    : findManifestByDigest(db, name, reference.digest);
}

/**
 * Runs in the transaction that moves the tags, after they are locked: a tag that was absent before may exist by then, and moving it
 * needs `mayUpdate`. A tag that already points to `digest` needs no right.
 * @throws RegistryError `DENIED`
 */
export async function checkRights(
  db: Db,
  repository: number,
  digest: Digest,
  tags: readonly Tag[],
  { mayCreate, mayUpdate }: PushRights,
): Promise<void> {
  if (mayCreate && mayUpdate) return;
  for (const tag of tags) {
    const current = (await findTag(db, repository, tag))?.digest;
    if (current === digest) continue;
    if (current !== undefined && !mayUpdate) {
      throw new RegistryError('DENIED', `tag ${tag} already exists and overwriting it is not allowed`);
    }
    if (current === undefined && !mayCreate) {
      throw new RegistryError('DENIED', `tag ${tag} does not exist and creating tags is not allowed`);
    }
  }
  if (!mayCreate && (await lockManifestShared(db, repository, digest)) === undefined) {
    throw new RegistryError('DENIED', `${digest} is not stored and pushing new manifests is not allowed`);
  }
}

/** Checked in the transaction that moves the tag, so that two writers cannot overwrite each other's change unnoticed. */
async function checkConditions(
  db: Db,
  name: RepositoryName,
  repository: number,
  reference: Reference,
  { ifMatch, ifNoneMatch }: Conditions,
): Promise<void> {
  if (ifMatch === undefined && ifNoneMatch === undefined) return;
  // A tag is locked already. A manifest is locked here, so that it still exists at the commit.
  if (reference.kind === 'digest') await lockManifestShared(db, repository, reference.digest);
  refuseUnmet(reference, (await findByReference(db, name, reference))?.digest, { ifMatch, ifNoneMatch });
}

/** @param current the digest that the reference points to @throws RegistryError `PRECONDITION_FAILED` */
function refuseUnmet(
  reference: Reference,
  current: Digest | undefined,
  { ifMatch, ifNoneMatch }: Conditions,
): void {
  const matches = (wanted: readonly string[] | '*'): boolean =>
    current !== undefined && (wanted === '*' || wanted.includes(current));
  if ((ifMatch !== undefined && !matches(ifMatch)) || (ifNoneMatch !== undefined && matches(ifNoneMatch))) {
    const found = current === undefined ? 'does not exist' : `points to ${current}`;
    throw new RegistryError('PRECONDITION_FAILED', `${printReference(reference)} ${found}`);
  }
}
