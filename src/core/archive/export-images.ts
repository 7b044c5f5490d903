import { imageNameAnnotation, printImageName, refNameAnnotation } from '../../archive/image-names.ts';
import { blobPath, maxRoots } from '../../archive/images.ts';
import type { LayoutWriter } from '../../archive/layout-writer.ts';
import type { Database } from '../../db/database.ts';
import { inTurns } from '../../db/in-turns.ts';
import { findManifestByTag } from '../../db/manifests.ts';
import { type Digest, digestAlgorithm } from '../../oci/digest.ts';
import { RegistryError } from '../../oci/errors.ts';
import { readManifest } from '../../oci/manifest.ts';
import { manifestKind, ociImageIndex } from '../../oci/media-types.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { asTag, fallbackTag, type Reference, type Tag } from '../../oci/reference.ts';
import { streamBlob } from '../../storage/stream-blob.ts';
import type { Blobs } from '../blobs.ts';
import type { StoredManifest } from '../manifest-cache.ts';
import type { Manifests, MissingReferences } from '../manifests.ts';
import { listReferrerPage } from '../referrers.ts';
import { RunningHash } from '../running-hash.ts';
import { listTagPage } from '../tags.ts';
import { TransferFailed } from './transfer-failed.ts';

export interface ExportParts {
  readonly database: Database;
  readonly manifests: Manifests;
  readonly blobs: Blobs;
  readonly missingReferences: MissingReferences;
  readonly writer: LayoutWriter;
  readonly signal: AbortSignal;
}

/** Images to export. */
export interface Selection {
  readonly name: RepositoryName;
  /** Absent: all tags. */
  readonly reference?: Reference | undefined;
}

/** What was written. */
export interface Exported {
  repositories: number;
  tags: number;
  manifests: number;
  /** Configs and layers. */
  blobs: number;
  /** Of manifests and blobs. */
  bytes: number;
  /** References that the registry does not have, as `manifests.missingReferences` allows. */
  missing: number;
}

/** Tags under which clients without the referrers API store the referrers of a manifest: fallback tags, and those of cosign. */
const referrerSuffixes = ['', '.sig', '.att', '.sbom'];
const tagsInPage = 1_000;

/**
 * Writes the images as an OCI image layout 1.1: with the children of indexes and, if `referrers`, with all referrers, also those of
 * referrers. Each manifest and blob is written once. Memory: some hundred bytes for each.
 *
 * @throws TransferFailed | RegistryError, the signal's reason, or errors of the database, the store and the files
 */
export async function exportImages(
  parts: ExportParts,
  selections: readonly Selection[],
  { referrers }: { readonly referrers: boolean },
): Promise<Exported> {
  const running = new Export(parts, referrers);
  await running.writeJson('oci-layout', { imageLayoutVersion: '1.0.0' });
  for (const selection of selections) await running.addSelection(selection);
  await running.writeJson('index.json', {
    schemaVersion: 2,
    mediaType: ociImageIndex,
    manifests: [...running.roots.values()],
  });
  return running.exported;
}

interface RootEntry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

class Export {
  /** Entries of index.json by image name. */
  readonly roots = new Map<string, RootEntry>();
  readonly exported: Exported = { repositories: 0, tags: 0, manifests: 0, blobs: 0, bytes: 0, missing: 0 };
  readonly #parts: ExportParts;
  readonly #referrers: boolean;
  readonly #repositories = new Set<string>();
  readonly #written = new Set<Digest>();
  /** Manifests whose references were followed, as `repository digest`. */
  readonly #followed = new Set<string>();

  constructor(parts: ExportParts, referrers: boolean) {
    this.#parts = parts;
    this.#referrers = referrers;
  }

  async addSelection({ name, reference }: Selection): Promise<void> {
    if (reference !== undefined) return this.#addImage(name, reference);
    for (let last = ''; ; ) {
      const page = await listTagPage(this.#parts.database, name, { last, n: tagsInPage });
      for (const tag of page.items) await this.#addImage(name, { kind: 'tag', tag: tag as Tag });
      if (!page.more) return;
      last = page.items.at(-1) as string;
    }
  }

  async #addImage(name: RepositoryName, reference: Reference): Promise<void> {
    const manifest = await undamaged(this.#parts.manifests.get(name, reference));
    this.#addRoot(name, reference, manifest);
    await this.#follow(name, manifest);
  }

  #addRoot(
    name: RepositoryName,
    reference: Reference,
    { mediaType, digest, bytes }: StoredManifest,
    artifactType?: string,
  ): void {
    const imageName = printImageName(name, reference);
    if (this.roots.has(imageName)) return;
    if (this.roots.size === maxRoots) {
      throw new TransferFailed(`more than ${maxRoots} tags and referrers; export fewer repositories at once`);
    }
    const annotations = {
      [imageNameAnnotation]: imageName,
      ...(reference.kind === 'tag' && { [refNameAnnotation]: reference.tag }),
    };
    this.roots.set(imageName, { mediaType, digest, size: bytes.length, artifactType, annotations });
    if (reference.kind === 'tag') this.exported.tags++;
    this.#repositories.add(name);
    this.exported.repositories = this.#repositories.size;
  }

  /** Writes the manifest and everything that it needs. */
  async #follow(name: RepositoryName, first: StoredManifest): Promise<void> {
    const waiting: Digest[] = [first.digest];
    for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
      if (this.#followed.has(`${name} ${digest}`)) continue;
      this.#followed.add(`${name} ${digest}`);
      this.#parts.signal.throwIfAborted();
      const stored = await this.#ifPresent(() => this.#get(name, digest as Digest), 'children', digest);
      if (stored === undefined) continue;
      const { bytes, mediaType } = stored;
      await this.#write(stored.digest, bytes.length, [bytes], 'manifests');
      const manifest = await inTurns(readManifest(bytes, mediaType));
      for (const { digest, mediaType } of manifest.children) {
        if (manifestKind(mediaType) === undefined && (await this.#isBlob(name, digest)))
          await this.#addBlob(name, digest);
        else waiting.push(digest);
      }
      for (const { digest } of manifest.blobs) await this.#addBlob(name, digest);
      if (this.#referrers) waiting.push(...(await this.#addReferrers(name, stored.digest)));
    }
  }

  #get(name: RepositoryName, digest: Digest): Promise<StoredManifest> {
    return undamaged(this.#parts.manifests.get(name, { kind: 'digest', digest }));
  }

  async #isBlob(name: RepositoryName, digest: Digest): Promise<boolean> {
    const found = undamaged(this.#parts.blobs.find(name, digest));
    return found.then(
      () => true,
      (error: unknown) => {
        if (isUnknown(error)) return false;
        throw error;
      },
    );
  }

  async #addBlob(name: RepositoryName, digest: Digest): Promise<void> {
    if (this.#written.has(digest)) return;
    const blob = await this.#ifPresent(() => undamaged(this.#parts.blobs.find(name, digest)), 'all', digest);
    if (blob === undefined) return;
    const opened = await undamaged(this.#parts.blobs.open(blob));
    try {
      await this.#write(digest, blob.size, this.#verified(digest, streamBlob(opened)), 'blobs');
    } finally {
      opened.close();
    }
  }

  async *#verified(digest: Digest, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const hash = new RunningHash(digestAlgorithm(digest));
    for await (const chunk of chunks) {
      this.#parts.signal.throwIfAborted();
      hash.update(chunk);
      yield chunk;
    }
    if (hash.digest() === digest) return;
    throw new TransferFailed(
      `blob ${digest} is damaged: its bytes have the digest ${hash.digest()}; see \`berth fsck --read-data\``,
    );
  }

  /** Adds the referrers to the index; returns the manifests to follow. */
  async #addReferrers(name: RepositoryName, subject: Digest): Promise<Digest[]> {
    const { database, signal } = this.#parts;
    const found: Digest[] = [];
    for (let after = { rank: 0, digest: '' }; ; ) {
      const page = await listReferrerPage(database, name, subject, {
        after,
        n: undefined,
        artifactType: undefined,
        signal,
      });
      for (const text of page.descriptors) {
        const { digest, artifactType } = JSON.parse(text) as { digest: Digest; artifactType?: string };
        this.#addRoot(name, { kind: 'digest', digest }, await this.#get(name, digest), artifactType);
        found.push(digest);
      }
      if (page.next === undefined) break;
      after = page.next;
    }
    for (const suffix of referrerSuffixes) {
      const tag = asTag(`${fallbackTag(subject)}${suffix}`);
      const row = tag && (await findManifestByTag(database.read, name, tag));
      if (tag === undefined || row === undefined) continue;
      this.#addRoot(name, { kind: 'tag', tag }, await this.#get(name, row.digest));
      found.push(row.digest);
    }
    return found;
  }

  /** Counts a reference that may be missing. */
  async #ifPresent<T>(
    find: () => Promise<T>,
    allowed: MissingReferences,
    digest: Digest,
  ): Promise<T | undefined> {
    try {
      return await find();
    } catch (error) {
      const { missingReferences } = this.#parts;
      if (!isUnknown(error)) throw error;
      if (missingReferences === 'none' || (allowed === 'all' && missingReferences !== 'all')) {
        throw new TransferFailed(`${digest} is missing in the registry; see \`berth fsck\``, {
          cause: error,
        });
      }
      this.exported.missing++;
      return undefined;
    }
  }

  async writeJson(path: string, value: object): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(value));
    await this.#parts.writer.add(path, bytes.length, [bytes]);
  }

  async #write(
    digest: Digest,
    size: number,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    kind: 'manifests' | 'blobs',
  ): Promise<void> {
    if (this.#written.has(digest)) return;
    this.#written.add(digest);
    await this.#parts.writer.add(blobPath(digest), size, chunks);
    this.exported[kind]++;
    this.exported.bytes += size;
  }
}

/** Explains content that is marked as damaged, or that does not match its row. */
async function undamaged<T>(found: Promise<T>): Promise<T> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'UNKNOWN') {
      throw new TransferFailed(error.message, { cause: error });
    }
    if (!(error instanceof Error) || error.constructor !== Error || 'code' in error) throw error;
    throw new TransferFailed(`${error.message}; see \`berth fsck\``, { cause: error });
  }
}

function isUnknown(error: unknown): boolean {
  return error instanceof RegistryError && /^(?:BLOB|MANIFEST)_UNKNOWN$/.test(error.code);
}
