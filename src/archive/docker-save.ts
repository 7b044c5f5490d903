// Archives of `docker save` before Docker 25: manifest.json, and configs and layers under paths of Docker's own.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { asDigest, type Digest, digestOf, quote } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseStrictJson } from '../oci/json.ts';
import type { Descriptor } from '../oci/manifest.ts';
import { ociImageConfig, ociImageManifest, ociLayer } from '../oci/media-types.ts';
import type { Archive, ArchivedFile } from './archive.ts';
import type { Images, Root } from './image-index.ts';
import { parseImageName } from './image-names.ts';
import { InvalidArchive } from './invalid-archive.ts';

const maxConfigBytes = 4 << 20;
const maxImages = 1_000;
const maxLayers = 1_000;

/**
 * Makes an OCI manifest for each image, as Docker 25 writes it: layers are the uncompressed tars, named by the digests in the config.
 * The same image has the same manifest each time.
 *
 * @param saved manifest.json, parsed
 * @throws InvalidArchive
 */
export async function readDockerSave(archive: Archive, saved: unknown): Promise<Images> {
  if (!Array.isArray(saved)) throw new InvalidArchive('manifest.json is not a list of images');
  if (saved.length > maxImages) throw new InvalidArchive(`manifest.json has more than ${maxImages} images`);
  const content = new Map<Digest, ArchivedFile>();
  const roots: Root[] = [];
  for (const [i, image] of saved.entries()) {
    const { Config, Layers, RepoTags } = (image ?? {}) as Record<string, unknown>;
    const names = listOfTexts(RepoTags ?? [], `RepoTags of image ${i} in manifest.json`).map(readName);
    const layers = listOfTexts(Layers ?? [], `Layers of image ${i} in manifest.json`);
    if (typeof Config !== 'string') throw new InvalidArchive(`image ${i} in manifest.json has no config`);
    const manifest = await readImage(archive, content, Config, layers);
    for (const name of names) roots.push({ ...manifest, ...name });
    if (names.length === 0) roots.push({ ...manifest, repository: undefined, tag: undefined });
  }
  return { roots, find: async (digest) => content.get(digest) };
}

async function readImage(
  archive: Archive,
  content: Map<Digest, ArchivedFile>,
  configPath: string,
  layerPaths: readonly string[],
): Promise<Descriptor> {
  const configFile = await findFile(archive, configPath);
  if (configFile.size > maxConfigBytes) throw new InvalidArchive(`config ${quote(configPath)} is too large`);
  const config = await buffer(configFile.open());
  const diffIds = readDiffIds(config, configPath);
  if (diffIds.length !== layerPaths.length) {
    throw new InvalidArchive(
      `config ${quote(configPath)} has ${diffIds.length} layers, manifest.json has ${layerPaths.length}`,
    );
  }
  const layers: Descriptor[] = [];
  for (const [i, path] of layerPaths.entries()) {
    const file = await findFile(archive, path);
    // The import verifies that the bytes have this digest.
    const digest = diffIds[i] as Digest;
    content.set(digest, file);
    layers.push({ mediaType: ociLayer, digest, size: file.size });
  }
  const store = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
    content.set(digest, { size: bytes.length, open: () => Readable.from([bytes], { objectMode: false }) });
    return { mediaType, digest, size: bytes.length };
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: ociImageManifest,
    config: store(config, ociImageConfig),
    layers,
  };
  return store(Buffer.from(JSON.stringify(manifest)), ociImageManifest);
}

async function findFile(archive: Archive, path: string): Promise<ArchivedFile> {
  const isInside = !path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\0');
  const file = isInside ? await archive.find(path) : undefined;
  if (file === undefined)
    throw new InvalidArchive(`manifest.json names ${quote(path)}, which the archive lacks`);
  return file;
}

function readDiffIds(config: Buffer, path: string): Digest[] {
  try {
    const { rootfs } = parseStrictJson(config) as { rootfs?: { diff_ids?: unknown } };
    const ids = listOfTexts(rootfs?.diff_ids ?? [], `diff_ids of config ${quote(path)}`);
    const digests = ids.map((text) => asDigest(text)).filter((digest) => digest !== undefined);
    if (digests.length === ids.length) return digests;
  } catch (error) {
    if (!(error instanceof RegistryError || error instanceof TypeError)) throw error;
  }
  throw new InvalidArchive(`config ${quote(path)} is not a valid image config`);
}

function readName(text: string): Pick<Root, 'repository' | 'tag'> {
  const name = parseImageName(text);
  if (name === undefined)
    throw new InvalidArchive(`manifest.json has the image name ${quote(text)}, which is not valid`);
  return { repository: name.repository, tag: name.tag };
}

function listOfTexts(value: unknown, what: string): string[] {
  if (!Array.isArray(value) || value.length > maxLayers || !value.every((item) => typeof item === 'string')) {
    throw new InvalidArchive(`${what} is not a list of at most ${maxLayers} texts`);
  }
  return value;
}
