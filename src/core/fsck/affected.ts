import { listHolders, listReferencingManifests, listTagsOn } from '../../db/fsck.ts';
import type { Db } from '../../db/prepare.ts';
import { maxAffected } from './walk.ts';

/** What the loss of a blob affects: the images that need it, else the repositories that hold it. */
export async function affectedByBlob(db: Db, digest: string): Promise<string[]> {
  const users = await listReferencingManifests(db, digest, maxAffected + 1);
  if (users.length === 0) return bounded(await listHolders(db, digest, maxAffected + 1));
  return bounded(users.map(({ name, digest, tag }) => printManifest(name, digest, tag)));
}

/** What the loss of a manifest affects: its tags, else the manifest by digest. */
export async function affectedByManifest(
  db: Db,
  { id, name, digest }: { id: number; name: string; digest: string },
): Promise<string[]> {
  const tags = await listTagsOn(db, id, maxAffected + 1);
  return bounded(tags.length === 0 ? [`${name}@${digest}`] : tags.map((tag) => `${name}:${tag}`));
}

function printManifest(name: string, digest: string, tag: string | null): string {
  return tag === null ? `${name}@${digest}` : `${name}:${tag}`;
}

function bounded(names: readonly string[]): string[] {
  return names.length > maxAffected ? [...names.slice(0, maxAffected), 'more'] : [...names];
}
