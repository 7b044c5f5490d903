import type { Database } from '../db/database.ts';
import { inTurns } from '../db/in-turns.ts';
import { findManifestContent } from '../db/manifests.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { findRepository } from '../db/repositories.ts';
import { findTagMoves } from '../db/tag-history.ts';
import { listTagsWithManifests, type TagWithManifest } from '../db/tags.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type Manifest, readManifest } from '../oci/manifest.ts';
import { manifestKind } from '../oci/media-types.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { imageSizes } from './image-sizes.ts';
import { type Page, type PageRequest, takePage } from './page.ts';
import { lastPulls } from './pulls.ts';

export interface TagDetails {
  readonly tag: Tag;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of an index, as in `Descriptor.platform`; empty for an image, whose platform is in its config. */
  readonly platforms: readonly string[];
  /** See {@link imageSizes}. */
  readonly size: number | undefined;
  /** When the tag began to point to this manifest, in milliseconds since 1970. */
  readonly pushedAt: number;
  /** The name of the account that set it, or its key if it has no name; `undefined` if that is no longer recorded. */
  readonly pushedBy: string | undefined;
  /** When the manifest was last pulled, by this or any other tag or by digest; see {@link lastPulls}. */
  readonly pulledAt: number | undefined;
}

/**
 * A page of the repository's tags in byte order, with their manifests.
 * @throws RegistryError `NAME_UNKNOWN`
 */
export async function listTagDetails(
  { read }: Pick<Database, 'read'>,
  name: RepositoryName,
  request: PageRequest,
): Promise<Page<TagDetails>> {
  const repository = await findRepository(read, name);
  if (repository === undefined) {
    throw new RegistryError('NAME_UNKNOWN', { name }, { message: `there is no repository ${name}` });
  }
  const { items, more } = await takePage(request, (after, limit) =>
    listTagsWithManifests(read, repository, after, limit),
  );
  const moves = await findTagMoves(
    read,
    items.flatMap(({ moved }) => (moved === null ? [] : [moved])),
  );
  const sizes = await imageSizes(
    read,
    repository,
    items.map(({ id }) => id),
  );
  const platforms = await readPlatforms(read, items);
  const pulls = await lastPulls(read, items);
  const details = items.map(({ tag, id, digest, media_type: mediaType, updated_at, moved }) => {
    const move = moved === null ? undefined : moves.get(moved);
    return {
      ...{ tag, digest, mediaType, platforms: platforms.get(id) ?? [], size: sizes.get(id) },
      pushedAt: move?.at ?? updated_at,
      pushedBy: move && (move.actor_name || move.actor),
      pulledAt: pulls.get(id),
    };
  });
  return { items: details, more };
}

/** Platforms of the indexes, by manifest id. One index at a time is in memory. */
async function readPlatforms(db: Db, tags: readonly TagWithManifest[]): Promise<Map<number, string[]>> {
  const platforms = new Map<number, string[]>();
  for (const { id, media_type } of tags) {
    if (manifestKind(media_type) !== 'index' || platforms.has(id)) continue;
    await nextTurn();
    const content = await findManifestContent(db, id);
    if (content === undefined) continue;
    platforms.set(id, platformsIn(await inTurns(readManifest(content.bytes, media_type))));
  }
  return platforms;
}

/** The platforms of an index's children, each once; without `unknown/unknown`, which BuildKit gives to attestations. */
export function platformsIn({ children }: Manifest): string[] {
  const given = children.flatMap(({ platform }) => (platform === undefined ? [] : [platform]));
  return [...new Set(given)].filter((platform) => platform !== 'unknown/unknown');
}
