import { listHolders, listReferencingManifests, listTagsOn, type NamedManifest } from '../../db/fsck.ts';
import type { Db } from '../../db/prepare.ts';
import { printName } from '../../oci/hidden-name.ts';
import { maxAffected } from './walk.ts';

/** What the loss of a blob affects: the images that need it, else the repositories that hold it. */
export async function affectedByBlob(db: Db, digest: string): Promise<string[]> {
  const users = await listReferencingManifests(db, digest, maxAffected + 1);
  if (users.length === 0)
    return bounded((await listHolders(db, digest, maxAffected + 1)).map((name) => printName(name)));
  const names: string[] = [];
  for (const user of users) names.push(...(await imagesOf(db, user)));
  return bounded([...new Set(names)]);
}

/** The manifest by its tag, else by the tags of the indexes that have it, else by its digest. */
async function imagesOf(db: Db, { name, digest, tag }: NamedManifest): Promise<string[]> {
  if (tag !== null) return [printName(name, `:${tag}`)];
  const indexes = await listReferencingManifests(db, digest, maxAffected + 1);
  const tagged = indexes.filter((index) => index.name === name && index.tag !== null);
  return tagged.length === 0
    ? [printName(name, `@${digest}`)]
    : tagged.map(({ tag }) => printName(name, `:${tag}`));
}

/** What the loss of a manifest affects: its tags, else the manifest by digest. */
export async function affectedByManifest(
  db: Db,
  { id, name, digest }: { id: number; name: string; digest: string },
): Promise<string[]> {
  const tags = await listTagsOn(db, id, maxAffected + 1);
  return bounded(
    tags.length === 0
      ? await imagesOf(db, { name, digest, tag: null })
      : tags.map((tag) => printName(name, `:${tag}`)),
  );
}

function bounded(names: readonly string[]): string[] {
  return names.length > maxAffected ? [...names.slice(0, maxAffected), 'more'] : [...names];
}
