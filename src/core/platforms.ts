// The platforms of images, such as linux/arm64: an index lists them, an image has its own in its config.
import { findBlob } from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import { type Manifest, platformOf } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { type BlobStore, blobKey } from '../storage/blob-store.ts';
import { streamBlob } from '../storage/stream-blob.ts';

/** The parts that images are read from. */
export interface ImageParts extends Pick<Database, 'read'> {
  readonly store: Pick<BlobStore, 'read'>;
}

/**
 * The platforms of an index's children, each once, or that of an image, whose config is read from the store if it is at most 4 MiB.
 * Empty for other artifacts. As in `Descriptor.platform`.
 */
export async function platformsOf(
  { read, store }: ImageParts,
  name: RepositoryName,
  manifest: Manifest,
): Promise<string[]> {
  return manifest.kind === 'index' ? platformsIn(manifest) : platformOfImage(read, store, name, manifest);
}

/** Without `unknown/unknown`, which BuildKit gives to attestations. */
function platformsIn({ children }: Manifest): string[] {
  const given = children.flatMap(({ platform }) => (platform === undefined ? [] : [platform]));
  return [...new Set(given)].filter((platform) => platform !== 'unknown/unknown');
}

const imageConfigs = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];
/** Bytes. */
const maxConfig = 4 << 20;

async function platformOfImage(
  db: Db,
  store: Pick<BlobStore, 'read'>,
  name: RepositoryName,
  { config }: Manifest,
): Promise<string[]> {
  if (config === undefined || !imageConfigs.includes(config.mediaType)) return [];
  const blob = await findBlob(db, name, config.digest);
  if (blob === undefined || blob.damaged_at !== null || blob.size > maxConfig) return [];
  const opened = await store.read(blobKey(config.digest, blob.generation));
  if (opened === undefined) return [];
  try {
    if (opened.size !== blob.size) return [];
    const bytes = Buffer.concat(await streamBlob(opened).toArray());
    const platform = platformOf(JSON.parse(bytes.toString()));
    return platform === undefined ? [] : [platform];
  } catch (error) {
    // A config is not checked when it is pushed.
    if (error instanceof SyntaxError) return [];
    throw error;
  } finally {
    opened.close();
  }
}
