import { inTurns } from '../db/in-turns.ts';
import { findManifestContent } from '../db/manifests.ts';
import { nextTurn } from '../db/next-turn.ts';
import { findRepository } from '../db/repositories.ts';
import { findTagMoves } from '../db/tag-history.ts';
import { listTagsWithMoves, type TagWithManifest } from '../db/tags.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { readManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { imageSizes } from './image-sizes.ts';
import { type Page, type PageRequest, takePage } from './page.ts';
import { type ImageParts, platformsOf } from './platforms.ts';
import { lastPulls } from './pulls.ts';

export interface TagDetails {
  readonly tag: Tag;
  readonly digest: Digest;
  readonly mediaType: string;
  /** See {@link platformsOf}. */
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
  { read, store }: ImageParts,
  name: RepositoryName,
  request: PageRequest,
): Promise<Page<TagDetails>> {
  const repository = await findRepository(read, name);
  if (repository === undefined) {
    throw new RegistryError('NAME_UNKNOWN', { name }, { message: `there is no repository ${name}` });
  }
  const { items, more } = await takePage(request, (after, limit) =>
    listTagsWithMoves(read, repository, after, limit),
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
  const platforms = await readPlatforms({ read, store }, name, items);
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

/** Configs of images that are read at a time. */
const parallel = 8;

/** The platforms of each manifest, by its id. Only a few manifests and configs at a time are in memory. */
async function readPlatforms(
  parts: ImageParts,
  name: RepositoryName,
  tags: readonly TagWithManifest[],
): Promise<Map<number, string[]>> {
  const platforms = new Map<number, string[]>();
  const manifests = new Map(tags.map((tag) => [tag.id, tag.media_type])).entries();
  const work = async () => {
    for (const [id, mediaType] of manifests) {
      await nextTurn();
      const content = await findManifestContent(parts.read, id);
      if (content === undefined) continue;
      const manifest = await inTurns(readManifest(content.bytes, mediaType));
      platforms.set(id, await platformsOf(parts, name, manifest));
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return platforms;
}
