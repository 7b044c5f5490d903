import { inTurns } from '../db/in-turns.ts';
import { findManifestContent } from '../db/manifests.ts';
import { listTagsOf } from '../db/tags.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type Descriptor, readManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { printReference, type Reference } from '../oci/reference.ts';
import { imageSizes } from './image-sizes.ts';
import { findByReference } from './manifests.ts';
import { type ImageParts, platformsOf } from './platforms.ts';
import { lastPulls } from './pulls.ts';
import { listReferrerPage } from './referrers.ts';

export interface ImageDetails {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType: string | undefined;
  /** See {@link imageSizes}. */
  readonly size: number | undefined;
  /** See {@link platformsOf}. */
  readonly platforms: readonly string[];
  readonly config: Descriptor | undefined;
  readonly layers: readonly Descriptor[];
  /** The entries of an index. */
  readonly manifests: readonly Descriptor[];
  readonly subject: Descriptor | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  /** In milliseconds since 1970; see {@link lastPulls}. */
  readonly pulledAt: number | undefined;
  /** The first {@link maxListed} tags that point to this manifest. */
  readonly tags: readonly string[];
  /** The first {@link maxListed} referrers, as in the API's list. */
  readonly referrers: readonly Descriptor[];
  /** Whether there are more tags or referrers than these. */
  readonly more: { readonly tags: boolean; readonly referrers: boolean };
}

/** Tags and referrers of one answer. */
export const maxListed = 100;

/**
 * Describes an image, an index or an artifact.
 * @throws RegistryError `MANIFEST_UNKNOWN`, also for an unknown repository
 */
export async function describeImage(
  { read, store }: ImageParts,
  name: RepositoryName,
  reference: Reference,
): Promise<ImageDetails> {
  const row = await findByReference(read, name, reference);
  const content = row && (await findManifestContent(read, row.id));
  if (content === undefined) {
    throw new RegistryError('MANIFEST_UNKNOWN', { name, reference: printReference(reference) });
  }
  const { id, repository_id: repository, digest } = row as NonNullable<typeof row>;
  const manifest = await inTurns(readManifest(content.bytes, content.media_type));
  const tags = await listTagsOf(read, id, '', maxListed + 1);
  const after = { rank: 0, digest: '' };
  const referrers = await listReferrerPage({ read }, name, digest, {
    ...{ after, n: maxListed, artifactType: undefined },
  });
  return {
    ...{ digest, mediaType: manifest.mediaType, artifactType: manifest.artifactType },
    size: (await imageSizes(read, repository, [id])).get(id),
    platforms: await platformsOf({ read, store }, name, manifest),
    ...{ config: manifest.config, layers: manifest.layers, manifests: manifest.children },
    ...{ subject: manifest.subject, annotations: manifest.annotations ?? {} },
    pulledAt: (await lastPulls(read, [{ id, media_type: content.media_type }])).get(id),
    tags: tags.slice(0, maxListed),
    referrers: referrers.descriptors.map((text) => JSON.parse(text)),
    more: { tags: tags.length > maxListed, referrers: referrers.next !== undefined },
  };
}
