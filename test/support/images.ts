import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { run } from './command.ts';
import { type Architecture, staticProgram } from './static-program.ts';

/** Random, so that compression does not reduce the bytes on the wire. */
export const ballastSize = 4 << 20;

/** Maximum bytes on the wire for a changed program and the protocol; far below the ballast. */
export const smallTraffic = 64 << 10;

/**
 * Writes a build context: FROM scratch, first a layer of ballast, then one with a program that prints `message`. With another
 * message only the second layer changes.
 */
export async function writeBuildContext(
  directory: string,
  message: string,
  options: { readonly architecture?: Architecture; readonly ballast?: Buffer } = {},
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const dockerfile = ['FROM scratch', 'COPY ballast /', 'COPY program /', 'ENTRYPOINT ["/program"]', ''];
  await writeFile(join(directory, 'Dockerfile'), dockerfile.join('\n'));
  await writeFile(join(directory, 'program'), staticProgram(message, options.architecture), { mode: 0o755 });
  if (options.ballast) await writeFile(join(directory, 'ballast'), options.ballast);
}

export const makeBallast = (): Buffer => randomBytes(ballastSize);

export interface ImageLayout {
  /** The directory of the layout. */
  readonly layout: string;
  /** The digest of its only entry, tagged `latest`: an index with an image for each architecture. */
  readonly digest: string;
  /** Digests of its images. */
  readonly manifests: Readonly<Record<Architecture, string>>;
}

/** Writes an OCI image layout directly, without a base image or a tool that may change bytes. */
export async function writeImageLayout(directory: string, message: string): Promise<ImageLayout> {
  const layout = join(directory, 'layout');
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const store = async (mediaType: string, bytes: Buffer) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(layout, 'blobs/sha256', hex), bytes);
    return {
      mediaType: `application/vnd.oci.image.${mediaType}`,
      digest: `sha256:${hex}`,
      size: bytes.length,
    };
  };
  const storeJson = (mediaType: string, value: object) =>
    store(mediaType, Buffer.from(JSON.stringify(value)));

  const storeImage = async (architecture: Architecture) => {
    const context = join(directory, architecture);
    await writeBuildContext(context, message, { architecture, ballast: makeBallast() });
    const archive = join(directory, `${architecture}.tar`);
    await run('tar', ['--create', '--file', archive, '--directory', context, 'program', 'ballast']);
    const tar = await readFile(archive);
    const diffId = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
    const platform = { os: 'linux', architecture };
    const config = await storeJson('config.v1+json', {
      ...platform,
      config: { Entrypoint: ['/program'] },
      rootfs: { type: 'layers', diff_ids: [diffId] },
    });
    const layers = [await store('layer.v1.tar+gzip', gzipSync(tar))];
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    return {
      ...(await storeJson('manifest.v1+json', { schemaVersion: 2, mediaType, config, layers })),
      platform,
    };
  };

  const manifests = [await storeImage('amd64'), await storeImage('arm64')] as const;
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = await storeJson('index.v1+json', { schemaVersion: 2, mediaType, manifests });
  const entry = { ...index, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  const [amd64, arm64] = manifests;
  return {
    layout,
    digest: index.digest,
    manifests: { amd64: amd64.digest, arm64: arm64.digest },
  };
}
