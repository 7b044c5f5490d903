import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { Images, Root } from '../../archive/image-index.ts';
import { InvalidArchive } from '../../archive/invalid-archive.ts';
import type { Actor } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { inTurns } from '../../db/in-turns.ts';
import { findManifestByDigest, findManifestByTag } from '../../db/manifests.ts';
import { type Digest, digestAlgorithm, quote } from '../../oci/digest.ts';
import { RegistryError } from '../../oci/errors.ts';
import { type Descriptor, type Manifest, readManifest } from '../../oci/manifest.ts';
import { manifestKind } from '../../oci/media-types.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Tag } from '../../oci/reference.ts';
import type { Blobs } from '../blobs.ts';
import type { Manifests } from '../manifests.ts';
import { digestBytes } from '../running-hash.ts';
import type { Uploads } from '../uploads.ts';
import { TransferFailed } from './transfer-failed.ts';

export interface ImportParts {
  readonly database: Database;
  readonly manifests: Manifests;
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly by: Actor;
  /** Bytes. */
  readonly maxManifestSize: number;
  readonly signal: AbortSignal;
}

/** A place for images, instead of the archive's names. */
export interface Target {
  readonly name: RepositoryName;
  /** For the archive's only image, if it has no tag. */
  readonly tag?: Tag | undefined;
}

/** What an import added to one repository; content that the repository held is not counted. */
export interface ImportedRepository {
  readonly name: RepositoryName;
  tags: number;
  manifests: number;
  blobs: number;
  /** Of the blobs that were copied; not of those that another repository held. */
  bytes: number;
}

/** Manifests in manifests: images in an index in an index, or referrers of referrers. Each level is held in memory. */
const maxDepth = 16;

/**
 * Pushes the images like a client: blobs, then manifests with children and subjects first, then tags. Can be repeated after a failure:
 * what the repository holds is skipped.
 *
 * @throws InvalidArchive | TransferFailed, the signal's reason, or errors of the database and the store
 */
export async function importImages(
  parts: ImportParts,
  images: Images,
  to: Target | undefined,
): Promise<ImportedRepository[]> {
  const imported: ImportedRepository[] = [];
  for (const [name, roots] of chooseRepositories(images.roots, to)) {
    imported.push(await new Import(parts, images, name).run(roots));
  }
  return imported;
}

type Placed = Descriptor & Pick<Root, 'tag'>;

/** The roots by repository. A root without a repository goes to the only one of the archive. */
function chooseRepositories(roots: readonly Root[], to: Target | undefined): Map<RepositoryName, Placed[]> {
  const names = new Set(roots.map(({ repository }) => repository).filter((name) => name !== undefined));
  const [first, second] = names;
  if (to !== undefined && second !== undefined) {
    throw new TransferFailed(
      `the archive has images of ${names.size} repositories (${first}, ${second}…); import it without --to`,
    );
  }
  const only = to?.name ?? (second === undefined ? first : undefined);
  const chosen = new Map<RepositoryName, Placed[]>();
  for (const root of roots) {
    const name = to?.name ?? root.repository ?? only;
    if (name === undefined) {
      throw new TransferFailed(
        `the archive does not name the repository of ${root.digest}; name it with --to`,
      );
    }
    const tag = root.tag ?? (roots.length === 1 ? to?.tag : undefined);
    chosen.set(name, [...(chosen.get(name) ?? []), { ...root, tag }]);
  }
  if (to?.tag !== undefined && (roots.length !== 1 || roots[0]?.tag !== undefined)) {
    throw new TransferFailed('--to may name a tag only for an archive of one image without a tag');
  }
  return chosen;
}

class Import {
  readonly #parts: ImportParts;
  readonly #images: Images;
  readonly #name: RepositoryName;
  readonly #imported: ImportedRepository;
  /** Manifests and blobs that the repository holds by now. */
  readonly #done = new Set<Digest>();

  constructor(parts: ImportParts, images: Images, name: RepositoryName) {
    this.#parts = parts;
    this.#images = images;
    this.#name = name;
    this.#imported = { name, tags: 0, manifests: 0, blobs: 0, bytes: 0 };
  }

  async run(roots: readonly Placed[]): Promise<ImportedRepository> {
    const tags = new Map<Tag, Placed>();
    for (const root of roots) {
      if (root.tag === undefined) continue;
      const other = tags.get(root.tag)?.digest ?? root.digest;
      if (other !== root.digest) {
        throw new InvalidArchive(`${this.#name}:${root.tag} is two images: ${other} and ${root.digest}`);
      }
      tags.set(root.tag, root);
    }
    for (const root of roots) await this.#addManifest(root, 0);
    for (const [tag, root] of tags) await this.#setTag(tag, root);
    return this.#imported;
  }

  async #addManifest(descriptor: Descriptor, depth: number): Promise<void> {
    const { digest } = descriptor;
    if (this.#done.has(digest)) return;
    this.#parts.signal.throwIfAborted();
    if (depth > maxDepth) {
      throw new InvalidArchive(`${digest} is nested in more than ${maxDepth} other manifests`);
    }
    const { bytes, manifest } = await this.#read(descriptor);
    const { subject, children, blobs } = manifest;
    if (subject !== undefined && (await this.#find(subject.digest)) !== undefined) {
      await this.#addManifest(subject, depth + 1);
    }
    for (const child of children) {
      // The setting manifests.missingReferences says whether a child may be missing.
      if (manifestKind(child.mediaType) === undefined) await this.#addBlob(child);
      else if ((await this.#find(child.digest)) !== undefined) await this.#addManifest(child, depth + 1);
    }
    for (const blob of blobs) await this.#addBlob(blob);
    if ((await findManifestByDigest(this.#parts.database.read, this.#name, digest)) === undefined) {
      await this.#put(digest, manifest.mediaType, bytes, []);
      this.#imported.manifests++;
    }
    this.#done.add(digest);
  }

  /** All tags are set last, so that none points to an image whose referrers are still missing. */
  async #setTag(tag: Tag, root: Placed): Promise<void> {
    const row = await findManifestByTag(this.#parts.database.read, this.#name, tag);
    if (row?.digest === root.digest) return;
    const { bytes, manifest } = await this.#read(root);
    await this.#put(root.digest, manifest.mediaType, bytes, [tag]);
    this.#imported.tags++;
  }

  async #put(digest: Digest, contentType: string, bytes: Buffer, tags: readonly Tag[]): Promise<void> {
    const { manifests, by } = this.#parts;
    const rights = { mayCreate: true, mayUpdate: true };
    const push = { contentType, bytes, tags, conditions: {}, rights, by };
    await this.#explained(digest, () => manifests.put(this.#name, { kind: 'digest', digest }, push));
  }

  async #addBlob({ digest, size }: Descriptor): Promise<void> {
    if (this.#done.has(digest)) return;
    this.#parts.signal.throwIfAborted();
    const file = await this.#find(digest);
    if (file !== undefined && file.size !== size) {
      throw new InvalidArchive(
        `blob ${digest} has ${file.size} bytes in the archive, its manifest says ${size}`,
      );
    }
    if (!(await this.#isHeld(digest))) {
      const { blobs, by } = this.#parts;
      const isMounted = await blobs.mount(this.#name, digest, undefined, () => true, { by });
      // A blob that is missing in the archive too is refused with the manifest, unless the settings allow it.
      if (file === undefined && !isMounted) return;
      if (!isMounted) await this.#upload(digest, () => file!.open());
      this.#imported.blobs++;
      if (!isMounted) this.#imported.bytes += size;
    }
    this.#done.add(digest);
  }

  async #upload(digest: Digest, open: () => Readable): Promise<void> {
    const { uploads, by, signal } = this.#parts;
    await this.#explained(digest, async () => {
      const { id } = await uploads.start(this.#name, digestAlgorithm(digest), by.actor);
      const session = { id, name: this.#name, owner: by.actor };
      try {
        await uploads.finish(session, digest, { open, signal }, { by });
      } catch (error) {
        await uploads.cancel(session).catch(() => {});
        throw error;
      }
    });
  }

  async #isHeld(digest: Digest): Promise<boolean> {
    try {
      await this.#parts.blobs.findForPush(this.#name, digest);
      return true;
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'BLOB_UNKNOWN') return false;
      throw error;
    }
  }

  async #read(descriptor: Descriptor): Promise<{ bytes: Buffer; manifest: Manifest }> {
    const { digest, mediaType } = descriptor;
    const { maxManifestSize } = this.#parts;
    const file = await this.#find(digest);
    if (file === undefined) throw new InvalidArchive(`manifest ${digest} is missing in the archive`);
    if (file.size !== descriptor.size || file.size > maxManifestSize) {
      throw new InvalidArchive(
        `manifest ${digest} has ${file.size} bytes; its descriptor says ${descriptor.size}, at most ${maxManifestSize} are accepted`,
      );
    }
    const bytes = await buffer(file.open());
    const actual = digestBytes(digestAlgorithm(digest), bytes);
    if (actual !== digest) throw new InvalidArchive(`manifest ${digest} has the digest ${actual}`);
    const read = () => inTurns(readManifest(bytes, mediaType === '' ? undefined : mediaType));
    return { bytes, manifest: await this.#explained(digest, read) };
  }

  #find(digest: Digest): ReturnType<Images['find']> {
    return this.#images.find(digest);
  }

  /** Names the repository and the digest in the registry's errors. */
  async #explained<T>(digest: Digest, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      this.#parts.signal.throwIfAborted();
      if (!(error instanceof RegistryError)) throw error;
      if (error.cause instanceof InvalidArchive) throw error.cause;
      const { message, detail } = error;
      const shown =
        typeof detail === 'string'
          ? `: ${detail}`
          : detail === undefined
            ? ''
            : `: ${JSON.stringify(detail)}`;
      throw new TransferFailed(`${this.#name} ${quote(digest)}: ${message}${shown}`, { cause: error });
    }
  }
}
