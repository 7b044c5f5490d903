// Restores what was deleted into the trash.
import { lockAndLinkBlobsOf } from '../db/blob-links.ts';
import { type Actor, recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { lockManifest, lockRepository, lockTags } from '../db/locks.ts';
import {
  deleteManifest,
  findManifestIn,
  listReferenced,
  lockManifestShared,
  moveManifest,
} from '../db/manifests.ts';
import { nextTurnInTransaction } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { findRepository, lockRepositoryShared } from '../db/repositories.ts';
import { deleteAlias } from '../db/repository-aliases.ts';
import { sliceSize, untilDone } from '../db/slices.ts';
import { findTags } from '../db/tags.ts';
import {
  deleteRepositoryTrash,
  deleteTrash,
  deleteTrashedManifest,
  findDeletedRepository,
  findHidden,
  findTrashedTag,
  listTrashedTags,
  type TrashedTag,
  unhideRepository,
} from '../db/trash.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Reference, Tag } from '../oci/reference.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { listParts } from './copy-image.ts';
import { moveTags } from './move-tags.ts';
import { lockDestination, moveInto, noQuotas, type QuotaDefaults } from './quotas.ts';

export interface RestoreParts {
  readonly database: Database;
  readonly by: Actor;
  /** The configured rules, for every repository. */
  readonly immutableTags: readonly TagRule[];
  /** The configured quotas, for a repository that is restored into another namespace; absent: none. */
  readonly quotas?: QuotaDefaults;
}

export interface RestoredImage {
  readonly digest: Digest;
  /** Manifests that the trash had: the image, its children and their referrers. */
  readonly manifests: number;
  readonly tags: readonly Tag[];
  /** Tags that exist again, and stay as they are. The trash keeps them. */
  readonly skipped: readonly Tag[];
}

/**
 * Restores a deleted tag, or a deleted manifest with the tags that were deleted with it. A manifest that the trash has is restored
 * with its children and referrers, as far as the trash has them, each with its tags. All this is one transaction, except for tags after
 * the first thousand. Durable on return.
 *
 * @throws RegistryError `NAME_UNKNOWN` | `MANIFEST_UNKNOWN` | `DENIED`, with messages; `UNSUPPORTED` for too many manifests
 */
export async function restoreImage(
  parts: RestoreParts,
  name: RepositoryName,
  reference: Reference,
): Promise<RestoredImage> {
  const { database } = parts;
  const { read } = database;
  const repository = await requireRepository(read, name);
  const target = { repository, name };
  const deletedTag =
    reference.kind === 'tag' ? await requireTrashedTag(read, target, reference.tag) : undefined;
  const digest = deletedTag?.digest ?? (reference as { digest: Digest }).digest;
  const hidden = await findHidden(read, repository);
  const trashed = hidden === undefined ? [] : await listTrashedParts(read, hidden, digest);
  const deletedTags = new Map(deletedTag && [[deletedTag.id, deletedTag]]);
  for (const each of new Set([digest, ...trashed])) {
    for (const tag of await listTags(read, repository, each)) deletedTags.set(tag.id, tag);
  }
  const tags = [...deletedTags.values()];
  let manifests = 0;
  const restored: Tag[] = [];
  const skipped: Tag[] = [];
  for (let start = 0; start === 0 || start < tags.length; start += tagsAtOnce) {
    const some = tags.slice(start, start + tagsAtOnce);
    const result = await database.transaction(async (db) => {
      const now = database.clock();
      await requireSame(db, target);
      await lockTags(
        db,
        repository,
        some.map(({ tag }) => tag),
      );
      const isFirst = start === 0;
      if (isFirst && deletedTag !== undefined) await requireTrashedTag(db, target, deletedTag.tag);
      const moved =
        isFirst && hidden !== undefined
          ? await restoreManifests(db, parts, { ...target, hidden, now }, trashed)
          : 0;
      return { moved, ...(await restoreTags(db, parts, { ...target, now }, some)) };
    });
    manifests += result.moved;
    restored.push(...result.restored);
    skipped.push(...result.skipped);
  }
  if (manifests + restored.length + skipped.length === 0) throw notInTrash(name, `@${digest}`);
  return { digest, manifests, tags: restored, skipped: [...new Set(skipped)] };
}

/** Tags restored in one transaction, which locks them: PostgreSQL has room for some thousand locks. */
const tagsAtOnce = 1_000;

interface Target {
  readonly repository: number;
  readonly name: RepositoryName;
}

/** The manifest, its children and all referrers, as far as the trash has them. */
async function listTrashedParts(db: Db, hidden: number, digest: Digest): Promise<Digest[]> {
  const id = await findManifestIn(db, hidden, digest);
  return id === undefined ? [] : listParts(db, hidden, { id, digest }, true);
}

/** The tags that were deleted together with the manifest. */
async function listTags(db: Db, repository: number, digest: Digest): Promise<TrashedTag[]> {
  const tags: TrashedTag[] = [];
  await untilDone(async () => {
    const page = await listTrashedTags(db, repository, digest, tags.at(-1)?.tag ?? '', sliceSize);
    tags.push(...page);
    return page.length;
  });
  return tags;
}

/** Returns the number of those manifests that the trash still has. */
async function restoreManifests(
  db: Db,
  { by }: RestoreParts,
  { repository, name, hidden, now }: Target & { readonly hidden: number; readonly now: number },
  digests: readonly Digest[],
): Promise<number> {
  // Before the manifests are locked, as this locks the blobs.
  const needed = new Set<Digest>();
  for (const digest of digests) {
    const id = await findManifestIn(db, hidden, digest);
    if (id !== undefined) for (const blob of await listReferenced(db, id)) needed.add(blob);
  }
  await lockAndLinkBlobsOf(db, hidden, repository, needed, now);
  let restored = 0;
  // In the order of digests, so that two restorations do not deadlock.
  for (const digest of digests.toSorted()) {
    await nextTurnInTransaction();
    // As a deletion does: first the manifest of the repository, then that of the trash.
    const isHeld = (await lockManifestShared(db, repository, digest)) !== undefined;
    await lockManifest(db, hidden, digest);
    const id = await findManifestIn(db, hidden, digest);
    if (id === undefined) continue;
    if (isHeld) await deleteManifest(db, id, now);
    else await moveManifest(db, id, { from: hidden, to: repository }, now);
    await deleteTrashedManifest(db, repository, digest);
    const change = { kind: 'manifest.restore', repository: name, repositoryId: repository };
    await recordChange(db, by, { ...change, newDigest: digest }, now);
    restored += 1;
  }
  return restored;
}

/** Restores those of the tags that the trash still has and that do not exist now; skips the others. The tags must be locked. */
async function restoreTags(
  db: Db,
  { by, immutableTags }: RestoreParts,
  { repository, name, now }: Target & { readonly now: number },
  tags: readonly TrashedTag[],
): Promise<{ restored: readonly Tag[]; skipped: readonly Tag[] }> {
  const names = tags.map(({ tag }) => tag);
  const existing = new Set((await findTags(db, repository, names)).map((tag) => tag.name));
  const restored: Tag[] = [];
  const skipped: Tag[] = [];
  for (const { id, tag, digest } of tags) {
    if (existing.has(tag)) {
      skipped.push(tag);
      continue;
    }
    const manifest = await lockManifestShared(db, repository, digest);
    // Deleted for good, or restored by another transaction, in the meantime.
    if (manifest === undefined || (await deleteTrash(db, [id])) === 0) continue;
    const change = { kind: 'tag.restore', repository: name, repositoryId: repository, newDigest: digest };
    await moveTags(db, by, immutableTags, change, {
      tags: [tag],
      manifest: manifest.id,
      // Without quotas: its bytes counted in the trash too, and nothing restored shall get lost.
      now,
    });
    existing.add(tag);
    restored.push(tag);
  }
  return { restored, skipped };
}

/**
 * Restores the last deleted repository of this name, with everything that was in it, under the name `to`. It replaces an alias with
 * this name.
 * @throws RegistryError `NAME_UNKNOWN` if there is none, `DENIED` if the name is taken, or the repository does not fit into a quota of
 *   another namespace, with messages
 */
export async function restoreRepository(
  { database, by, quotas = noQuotas }: Pick<RestoreParts, 'database' | 'by' | 'quotas'>,
  name: RepositoryName,
  to: RepositoryName,
): Promise<void> {
  await database.transaction(async (db) => {
    const id = await findDeletedRepository(db, name);
    if (id === undefined) {
      throw unknown(
        'NAME_UNKNOWN',
        `there is no deleted repository ${name} in the trash; "berth trash list ${name}" lists deleted tags and manifests`,
      );
    }
    await lockRepository(db, id);
    const destination = await lockDestination(db, quotas, name, to);
    if ((await findRepository(db, to)) !== undefined) {
      throw unknown('DENIED', `there is a repository ${to} now: choose another name with --as`);
    }
    if (!(await moveInto(db, quotas, destination, () => unhideRepository(db, id, name, to)))) {
      throw unknown('NAME_UNKNOWN', `${name} was restored or deleted for good in the meantime`);
    }
    await deleteAlias(db, to);
    await deleteRepositoryTrash(db, id);
    const detail = to === name ? undefined : { from: name };
    const change = { kind: 'repository.restore', repository: to, repositoryId: id, detail };
    await recordChange(db, by, change, database.clock());
  });
}

/** @throws RegistryError `NAME_UNKNOWN` if the repository was deleted or renamed since its id was read */
async function requireSame(db: Db, { repository, name }: Target): Promise<void> {
  if ((await lockRepositoryShared(db, name)) === repository) return;
  throw unknown('NAME_UNKNOWN', `${name} was deleted in the meantime`);
}

async function requireRepository(db: Db, name: RepositoryName): Promise<number> {
  const repository = await findRepository(db, name);
  if (repository !== undefined) return repository;
  throw unknown(
    'NAME_UNKNOWN',
    (await findDeletedRepository(db, name)) === undefined
      ? `there is no repository ${name}, and none in the trash`
      : `repository ${name} is in the trash: restore it first (berth trash restore ${name})`,
  );
}

/** The last deletion of the tag, if the tag does not exist. */
async function requireTrashedTag(db: Db, { repository, name }: Target, tag: Tag): Promise<TrashedTag> {
  const found = await findTrashedTag(db, repository, tag);
  if (found === undefined) throw notInTrash(name, `:${tag}`);
  const [existing] = await findTags(db, repository, [tag]);
  if (existing !== undefined) {
    throw unknown(
      'DENIED',
      `tag ${name}:${tag} exists and points to ${existing.digest}: delete it first, or restore the manifest without the tag (berth trash restore ${name}@${found.digest})`,
    );
  }
  const hidden = await findHidden(db, repository);
  const holders = hidden === undefined ? [repository] : [repository, hidden];
  for (const holder of holders)
    if ((await findManifestIn(db, holder, found.digest)) !== undefined) return found;
  throw unknown(
    'MANIFEST_UNKNOWN',
    `${name}:${tag} cannot be restored: its manifest ${found.digest} was deleted for good; push it again`,
  );
}

function notInTrash(name: RepositoryName, reference: string): RegistryError {
  return unknown(
    'MANIFEST_UNKNOWN',
    `${name}${reference} is not in the trash; "berth trash list ${name}" lists what is`,
  );
}

function unknown(code: 'NAME_UNKNOWN' | 'MANIFEST_UNKNOWN' | 'DENIED', message: string): RegistryError {
  return new RegistryError(code, undefined, { message });
}
