// Deletes tags and manifests: into the trash, from which `restore-trash.ts` restores them, or for good.
import type { Config } from '../config/schema.ts';
import { lockAndLinkBlobsOf } from '../db/blob-links.ts';
import {
  type Actor,
  type NewChange,
  printActor,
  recordChange,
  recordTagChange,
  recordTagDeletions,
} from '../db/changes.ts';
import { lockManifest, lockTagRulesShared } from '../db/locks.ts';
import { deleteManifest, findManifestIn, listReferenced, moveManifest } from '../db/manifests.ts';
import type { Db } from '../db/prepare.ts';
import { deleteTag, deleteTagsOf } from '../db/tags.ts';
import { deleteTrashedManifest, findOrCreateHidden, insertTrash, insertTrashedTags } from '../db/trash.ts';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { refuseIfTaggedImmutably, refuseImmutable } from './immutable-tags.ts';

/** The settings of deletions. */
export interface DeletionRules {
  /** The configured rules, for every repository. */
  readonly immutableTags: readonly TagRule[];
  /** Whether the trash keeps what is deleted. */
  readonly trash: boolean;
}

export function deletionRulesOf({ tags, trash }: Pick<Config, 'tags' | 'trash'>): DeletionRules {
  return { immutableTags: tags.immutable, trash: trash.keepFor > 0 };
}

/** A deletion in a repository at a time in milliseconds since 1970. */
export interface Deletion {
  /** The repository's id. */
  readonly repository: number;
  readonly name: RepositoryName;
  readonly by: Actor;
  readonly now: number;
  /** Of the recorded changes. */
  readonly detail?: NewChange['detail'];
}

/**
 * Deletes a tag, and not its manifest, and records it. The repository and the tag must be locked (`lockRepositoryShared`, `lockTags`).
 * @param digest the one that the tag points to
 * @returns false if the tag does not exist
 * @throws RegistryError `DENIED`
 */
export async function deleteTagOnly(
  db: Db,
  { immutableTags, trash }: DeletionRules,
  { repository, name, by, now, detail }: Deletion,
  tag: Tag,
  digest: Digest,
): Promise<boolean> {
  await refuseImmutable(db, immutableTags, name, [tag]);
  const change = { kind: 'tag.delete', repository: name, repositoryId: repository, tag, detail };
  await recordTagChange(db, by, change, now);
  if (trash) {
    await insertTrash(db, { repository, kind: 'tag', tag, digest, now, actor: printActor(by) });
  }
  return deleteTag(db, repository, tag);
}

/**
 * Deletes a manifest with every tag that points to it, and records it. The repository must be locked (`lockRepositoryShared`).
 * @param check runs after the manifest is locked and before anything is recorded; throws if the manifest must stay
 * @returns false if the repository does not hold it
 * @throws RegistryError `DENIED`
 */
export async function deleteWithTags(
  db: Db,
  { immutableTags, trash }: DeletionRules,
  { repository, name, by, now, detail }: Deletion,
  digest: Digest,
  check?: (id: number) => Promise<void>,
): Promise<boolean> {
  await lockTagRulesShared(db);
  const found = await findManifestIn(db, repository, digest);
  if (found === undefined) return false;
  const hidden = trash ? await findOrCreateHidden(db, repository, name, now) : undefined;
  // Before the manifest is locked, as this locks the blobs.
  if (hidden !== undefined)
    await lockAndLinkBlobsOf(db, repository, hidden, await listReferenced(db, found), now);
  await lockManifest(db, repository, digest);
  const id = await findManifestIn(db, repository, digest);
  if (id === undefined) return false;
  await check?.(id);
  await refuseIfTaggedImmutably(db, immutableTags, name, id);
  const change = { repository: name, repositoryId: repository, oldDigest: digest, detail };
  await recordTagDeletions(db, by, id, change, now);
  await recordChange(db, by, { kind: 'manifest.delete', ...change }, now);
  if (hidden === undefined) {
    await deleteTagsOf(db, id);
    await deleteManifest(db, id, now);
    return true;
  }
  const actor = printActor(by);
  await deleteEarlier(db, { repository, hidden, now }, digest);
  await insertTrashedTags(db, id, { digest, now, actor });
  await insertTrash(db, { repository, kind: 'manifest', tag: null, digest, now, actor });
  await deleteTagsOf(db, id);
  await moveManifest(db, id, { from: repository, to: hidden }, now);
  return true;
}

/** Deletes the copy that the trash has from an earlier deletion of the same manifest. */
async function deleteEarlier(
  db: Db,
  { repository, hidden, now }: { repository: number; hidden: number; now: number },
  digest: Digest,
): Promise<void> {
  await lockManifest(db, hidden, digest);
  const earlier = await findManifestIn(db, hidden, digest);
  if (earlier === undefined) return;
  await deleteManifest(db, earlier, now);
  await deleteTrashedManifest(db, repository, digest);
}
