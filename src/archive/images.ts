// The images of an archive: an OCI image layout, or an archive of `docker save`.
import { buffer } from 'node:stream/consumers';
import { asDigest, type Digest, digestAlgorithm, digestHex, quote } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseStrictJson } from '../oci/json.ts';
import { asTag } from '../oci/reference.ts';
import type { Archive } from './archive.ts';
import { readDockerSave } from './docker-save.ts';
import type { Images, Root } from './image-index.ts';
import { imageNameAnnotation, parseImageName, refNameAnnotation } from './image-names.ts';
import { InvalidArchive } from './invalid-archive.ts';

const maxIndexBytes = 64 << 20;
/** Entries of index.json; an export has no more. */
export const maxRoots = 100_000;
/** Fields and list entries of index.json: each root has at most ten in an export. */
const maxValues = 20 * maxRoots;

/** @throws InvalidArchive */
export async function readImages(archive: Archive): Promise<Images> {
  const index = await readJson(archive, 'index.json');
  const layout = await readJson(archive, 'oci-layout');
  if (index !== undefined && layout !== undefined) {
    const version = (layout as { imageLayoutVersion?: unknown } | null)?.imageLayoutVersion;
    if (typeof version !== 'string' || !version.startsWith('1.')) {
      throw new InvalidArchive('oci-layout has an imageLayoutVersion that is not supported; 1.x is');
    }
    return { roots: readRoots(index), find: (digest) => archive.find(blobPath(digest)) };
  }
  const saved = await readJson(archive, 'manifest.json');
  if (saved !== undefined) return readDockerSave(archive, saved);
  throw new InvalidArchive(
    'the archive has no images: it has neither oci-layout and index.json (an OCI image layout) nor manifest.json (docker save)',
  );
}

export function blobPath(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

async function readJson(archive: Archive, path: string): Promise<unknown> {
  const file = await archive.find(path);
  if (file === undefined) return undefined;
  if (file.size > maxIndexBytes) {
    throw new InvalidArchive(`${path} has ${file.size} bytes; at most ${maxIndexBytes} are accepted`);
  }
  try {
    return parseStrictJson(await buffer(file.open()), maxValues);
  } catch (error) {
    if (error instanceof RegistryError) throw new InvalidArchive(`${path}: ${error.detail}`);
    throw error;
  }
}

function readRoots(index: unknown): Root[] {
  const manifests = (index as { manifests?: unknown } | null)?.manifests;
  if (!Array.isArray(manifests)) throw new InvalidArchive('index.json has no list "manifests"');
  if (manifests.length > maxRoots) {
    throw new InvalidArchive(`index.json has ${manifests.length} entries; at most ${maxRoots} are accepted`);
  }
  return manifests.map((entry, i) => readRoot(entry, `manifests[${i}] of index.json`));
}

function readRoot(entry: unknown, what: string): Root {
  const { mediaType = '', digest: text, size, annotations } = (entry ?? {}) as Record<string, unknown>;
  const digest = typeof text === 'string' ? asDigest(text) : undefined;
  if (digest === undefined) throw new InvalidArchive(`${what} has no valid digest`);
  if (typeof mediaType !== 'string' || !Number.isSafeInteger(size) || (size as number) < 0) {
    throw new InvalidArchive(`${what} has no valid media type and size`);
  }
  const named = (annotations ?? {}) as Record<string, unknown>;
  const refName = textOf(named[refNameAnnotation]);
  const imageName = textOf(named[imageNameAnnotation]);
  const image = imageName === undefined ? undefined : parseImageName(imageName);
  if (imageName !== undefined && image === undefined) {
    throw new InvalidArchive(`${what} has the image name ${quote(imageName)}, which is not valid`);
  }
  const tag = refName === undefined ? undefined : asTag(refName);
  // podman writes the whole name as the reference's name.
  const whole = refName === undefined || tag !== undefined ? undefined : parseImageName(refName);
  if (refName !== undefined && tag === undefined && whole === undefined) {
    throw new InvalidArchive(`${what} has the reference name ${quote(refName)}, which is not a tag`);
  }
  return {
    mediaType,
    digest,
    size: size as number,
    repository: image?.repository ?? whole?.repository,
    tag: tag ?? whole?.tag ?? image?.tag,
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
