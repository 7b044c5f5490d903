import { type Actor, moveAndRecordTag, type TagChange } from '../db/changes.ts';
import type { Db } from '../db/prepare.ts';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { refuseImmutable } from './immutable-tags.ts';

/** The change that is recorded for each tag. */
export interface TagMove extends Omit<TagChange, 'tag'> {
  readonly repository: RepositoryName;
  readonly newDigest: Digest;
}

/**
 * Points tags to a manifest and records the changes, unless a tag is immutable and points to another manifest: a tag that points there
 * already does not move. The tags must be locked (`lockTags`).
 *
 * @param configured the configured tag rules
 * @param manifest id of the manifest with the digest `move.newDigest`
 * @param advice ends the message of a refusal: what to do instead
 * @throws RegistryError `DENIED`
 */
export async function moveTags(
  db: Db,
  by: Actor,
  configured: readonly TagRule[],
  move: TagMove,
  { tags, manifest, now, advice }: { tags: readonly Tag[]; manifest: number; now: number; advice?: string },
): Promise<void> {
  const moved: Tag[] = [];
  for (const tag of tags) {
    const { old_digest, any_rule } = await moveAndRecordTag(db, by, { ...move, tag }, manifest, now);
    const mayBeImmutable = any_rule === 1 || configured.length > 0;
    if (mayBeImmutable && old_digest !== null && old_digest !== move.newDigest) moved.push(tag);
  }
  // After the moves, whose statement reads the old digests anyway; an error rolls them back.
  await refuseImmutable(db, configured, move.repository, moved, advice);
}
