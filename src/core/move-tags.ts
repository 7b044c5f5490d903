import { type Actor, moveAndRecordTag, type TagChange } from '../db/changes.ts';
import type { Db } from '../db/prepare.ts';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { refuseImmutable } from './immutable-tags.ts';
import { isLimited, type QuotaDefaults, requireSpace } from './quotas.ts';

/** The change that is recorded for each tag. */
export interface TagMove extends Omit<TagChange, 'tag'> {
  readonly repository: RepositoryName;
  readonly newDigest: Digest;
}

interface TagsToMove {
  readonly tags: readonly Tag[];
  /** Id of the manifest with the digest `move.newDigest`. */
  readonly manifest: number;
  readonly now: number;
  /** Ends the message of a refusal: what to do instead. */
  readonly advice?: string;
  /** The configured quotas; absent: no quota is asked. */
  readonly quotas?: QuotaDefaults;
}

/**
 * Points tags to a manifest and records the changes, unless a tag is immutable and points to another manifest: a tag that points there
 * already does not move. The tags must be locked (`lockTags`).
 *
 * @param configured the configured tag rules
 * @returns a warning if most of a quota is used
 * @throws RegistryError `DENIED`
 */
export async function moveTags(
  db: Db,
  by: Actor,
  configured: readonly TagRule[],
  move: TagMove,
  { tags, manifest, now, advice, quotas }: TagsToMove,
): Promise<string | undefined> {
  const moved: Tag[] = [];
  let newTags = 0;
  let anyQuota = 0;
  for (const tag of tags) {
    const { old_digest, any_rule, any_quota } = await moveAndRecordTag(
      db,
      by,
      { ...move, tag },
      manifest,
      now,
    );
    anyQuota = any_quota;
    if (old_digest === null) newTags += 1;
    const mayBeImmutable = any_rule === 1 || configured.length > 0;
    if (mayBeImmutable && old_digest !== null && old_digest !== move.newDigest) moved.push(tag);
  }
  // After the moves, whose statement reads the old digests anyway; an error rolls them back.
  await refuseImmutable(db, configured, move.repository, moved, advice);
  if (tags.length === 0 || quotas === undefined || !isLimited(quotas, anyQuota)) return undefined;
  return requireSpace(db, quotas, { id: move.repositoryId, name: move.repository }, { newTags });
}
