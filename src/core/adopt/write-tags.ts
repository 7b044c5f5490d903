import { recordChange } from '../../db/changes.ts';
import { lockTags } from '../../db/locks.ts';
import { lockManifestShared } from '../../db/manifests.ts';
import type { Db } from '../../db/prepare.ts';
import { findRepository } from '../../db/repositories.ts';
import { findTags, moveTag } from '../../db/tags.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Tag } from '../../oci/reference.ts';
import { appliedRules, ruleFor } from '../immutable-tags.ts';
import type { AdoptParts } from './parts.ts';

/** A tag of the tree. */
export interface TagLink {
  readonly tag: Tag;
  readonly digest: Digest;
  /** Milliseconds since 1970 of its last move. */
  readonly modifiedAt: number;
}

/** How each tag ended. `kept`: it was moved in Berth after its last move in the tree. `immutable`: a rule keeps it as it is in Berth. */
export type TagOutcome = 'moved' | 'same' | 'kept' | 'immutable' | 'dangling';

/**
 * Points tags to their manifests in one transaction. A tag gets the time of its link file, so that the next run knows whether it was
 * moved in the tree since, or in Berth.
 */
export async function writeTags(
  { database, by, immutableTags }: AdoptParts,
  name: RepositoryName,
  links: readonly TagLink[],
): Promise<Map<Tag, TagOutcome>> {
  const tags = links.map(({ tag }) => tag).sort();
  const outcomes = new Map<Tag, TagOutcome>(tags.map((tag) => [tag, 'same']));
  const isSame = async (db: Db, repository: number): Promise<boolean> => {
    const digests = new Map((await findTags(db, repository, tags)).map(({ name, digest }) => [name, digest]));
    return links.every(({ tag, digest }) => digests.get(tag) === digest);
  };
  const known = await findRepository(database.read, name);
  if (known !== undefined && (await isSame(database.read, known))) return outcomes;
  return database.transaction(async (db) => {
    const now = database.clock();
    const repository = await findRepository(db, name);
    if (repository === undefined) return new Map(tags.map((tag) => [tag, 'dangling']));
    await lockTags(db, repository, tags);
    const before = new Map((await findTags(db, repository, tags)).map((tag) => [tag.name, tag]));
    const rules = await appliedRules(db, immutableTags, name);
    let moved = 0;
    for (const { tag, digest, modifiedAt } of links) {
      const current = before.get(tag);
      const manifest =
        current?.digest === digest ? undefined : await lockManifestShared(db, repository, digest);
      if (current?.digest === digest) outcomes.set(tag, 'same');
      else if (current !== undefined && current.updated_at > modifiedAt) outcomes.set(tag, 'kept');
      else if (manifest === undefined) outcomes.set(tag, 'dangling');
      else if (current !== undefined && ruleFor(rules, tag) !== undefined) outcomes.set(tag, 'immutable');
      else {
        await moveTag(db, repository, tag, manifest.id, Math.min(modifiedAt, now));
        outcomes.set(tag, 'moved');
        moved += 1;
      }
    }
    if (moved > 0) {
      const detail = { blobs: 0, manifests: 0, tags: moved };
      const change = { kind: 'repository.adopt', repository: name, repositoryId: repository, detail };
      await recordChange(db, by, change, now);
    }
    return outcomes;
  });
}
