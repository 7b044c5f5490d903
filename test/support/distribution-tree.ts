// Writes the files of CNCF distribution directly, for trees that are large, or that its API cannot make.
import { createHash } from 'node:crypto';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Descriptor, type Document, describe, imageOf, ociConfig, ociLayer } from './inject.ts';

export const treeRoot = 'docker/registry/v2';

/** The folder of a digest: `sha256/<hex>`. */
const folderOf = (digest: string): string => digest.replace(':', '/');

export class DistributionTree {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  blobFile(digest: string): string {
    const [algorithm, hex = ''] = digest.split(':');
    return join(this.root, treeRoot, 'blobs', `${algorithm}`, hex.slice(0, 2), hex, 'data');
  }

  file(repository: string, ...path: string[]): string {
    return join(this.root, treeRoot, 'repositories', repository, ...path);
  }

  layerLink(repository: string, digest: string): string {
    return this.file(repository, '_layers', folderOf(digest), 'link');
  }

  revisionLink(repository: string, digest: string): string {
    return this.file(repository, '_manifests/revisions', folderOf(digest), 'link');
  }

  tagLink(repository: string, tag: string): string {
    return this.file(repository, '_manifests/tags', tag, 'current/link');
  }

  async blob(bytes: Buffer | string): Promise<string> {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    await write(this.blobFile(digest), bytes);
    return digest;
  }

  async layer(repository: string, bytes: Buffer | string, mediaType = ociLayer): Promise<Descriptor> {
    const digest = await this.blob(bytes);
    await write(this.layerLink(repository, digest), digest);
    return describe(bytes, mediaType, digest);
  }

  /** Returns the manifest's descriptor. */
  async manifest(repository: string, document: Document | string, ...tags: string[]): Promise<Descriptor> {
    const bytes = typeof document === 'string' ? document : JSON.stringify(document);
    const digest = await this.blob(bytes);
    await write(this.revisionLink(repository, digest), digest);
    for (const tag of tags) await this.tag(repository, tag, digest);
    const mediaType = typeof document === 'string' ? '' : String(document.mediaType);
    return describe(bytes, mediaType, digest);
  }

  /** An image with a config and one layer, both of the given text. */
  async image(repository: string, text: string, ...tags: string[]): Promise<Descriptor> {
    const config = await this.layer(repository, JSON.stringify({ text }), ociConfig);
    return this.manifest(repository, imageOf(config, [await this.layer(repository, text)]), ...tags);
  }

  /** @param movedAt the time of the link, in milliseconds since 1970 */
  async tag(repository: string, tag: string, digest: string, movedAt?: number): Promise<void> {
    await write(this.tagLink(repository, tag), digest);
    await write(this.file(repository, '_manifests/tags', tag, 'index', folderOf(digest), 'link'), digest);
    if (movedAt !== undefined) {
      await utimes(this.tagLink(repository, tag), movedAt / 1000, movedAt / 1000);
    }
  }
}

async function write(path: string, bytes: Buffer | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}
