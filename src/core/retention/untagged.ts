// Decides which manifests without tags have been unused for long enough.
import type { Db } from '../../db/prepare.ts';
import { findUntagged, listIndexesOf, type UntaggedManifest } from '../../db/retention.ts';
import { findTagsWithManifests, type TagWithManifest } from '../../db/tags.ts';
import type { Digest } from '../../oci/digest.ts';
import { partTagsOf } from '../../oci/part-tags.ts';
import { type AppliedRule, ruleFor } from '../immutable-tags.ts';
import { lastPulls } from '../pulls.ts';

export interface UntaggedTerms {
  readonly repository: number;
  readonly immutable: readonly AppliedRule[];
  /** A manifest that was used at this time or later stays; milliseconds since 1970. */
  readonly usedSince: number;
  /** Row ids of manifests that count as removed already. */
  readonly removed: ReadonlySet<number>;
}

/** A manifest to remove. */
export interface UnusedManifest extends UntaggedManifest {
  /** When it was pushed, lost a tag or was pulled, whichever is the latest. */
  readonly usedAt: number;
  /** Tags of its signatures and other parts, which go with it. */
  readonly partTags: readonly TagWithManifest[];
}

/**
 * Those of these manifests that nothing keeps: no tag, no index that lists them, no subject, no use since `usedSince`, and no part with
 * an immutable tag.
 * @param pause yields to the event loop
 */
export async function findUnused(
  db: Db,
  terms: UntaggedTerms,
  ids: readonly number[],
  pause: () => Promise<void>,
): Promise<UnusedManifest[]> {
  const untagged = await findUntagged(db, ids);
  const pulls = await lastPulls(db, untagged, pause);
  const unused: UnusedManifest[] = [];
  for (const manifest of untagged) {
    const { id, digest, subject, created_at, left_at } = manifest;
    const usedAt = Math.max(created_at, left_at ?? 0, pulls.get(id) ?? 0);
    if (usedAt >= terms.usedSince || terms.removed.has(id)) continue;
    if (subject !== null && !terms.removed.has(subject)) continue;
    if (await isListed(db, terms, digest)) continue;
    const partTags = await findTagsWithManifests(db, terms.repository, partTagsOf(digest));
    if (partTags.some(({ tag }) => ruleFor(terms.immutable, tag) !== undefined)) continue;
    unused.push({ ...manifest, usedAt, partTags });
    await pause();
  }
  return unused;
}

/** A manifest that so many indexes list counts as listed, even if a plan removes all of them. */
const maxIndexes = 2_000;

/** Whether an index of the repository lists the manifest. */
async function isListed(db: Db, { repository, removed }: UntaggedTerms, digest: Digest): Promise<boolean> {
  // One more than the removed ones, so that one of them is not removed if there are so many.
  const limit = Math.min(removed.size + 1, maxIndexes);
  const indexes = await listIndexesOf(db, repository, digest, limit);
  return indexes.length === limit || indexes.some((id) => !removed.has(id));
}
