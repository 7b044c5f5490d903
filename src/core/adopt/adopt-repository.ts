import { heldBlobsByName } from '../../db/blobs.ts';
import { heldManifests } from '../../db/manifests.ts';
import { findRepository } from '../../db/repositories.ts';
import { asDigest, type Digest, quote } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { asTag } from '../../oci/reference.ts';
import { mapConcurrently } from '../../storage/concurrently.ts';
import { StoreUnavailable } from '../../storage/store-errors.ts';
import type { TreeFile } from '../../storage/store-tree.ts';
import { findUsable, type Usable } from './adopt-blobs.ts';
import { CannotAdopt } from './cannot-adopt.ts';
import type { Finding, FindingKind } from './finding.ts';
import type { Entry } from './layout.ts';
import { type Adopted, type AdoptParts, batch, concurrency } from './parts.ts';
import { readWholeManifest, type WholeManifest } from './read-manifest.ts';
import { referencesOf, writeManifests } from './write-manifests.ts';
import { type TagLink, writeTags } from './write-tags.ts';

/** Limits of one transaction: manifests, their bytes, and their references. One manifest may exceed them. */
const manifestsAtOnce = 100;
const bytesAtOnce = 8 << 20;
const referencesAtOnce = 2_000;
/** After this many unreadable files the store is considered unusable. */
const maxUnreadable = 20;
/** Links of layers that wait for the manifests of their repository. */
const maxWaiting = 50_000;
/** Bytes of indexes that wait for their children; those beyond are read again. */
const maxIndexBytes = 4 << 20;
/** Bytes; a digest has at most 135. */
const maxLink = 1024;

interface TagFile extends TreeFile {
  readonly tag: string;
}

/**
 * Adopts one repository. Takes its files in the order of the tree: links of layers, then of manifests, then of tags. Writes each
 * manifest together with the links of its blobs, children before their indexes, then the tags. So everything that can be pulled is
 * complete at any moment. Layers that no manifest needs stay parked, in no repository.
 */
export class RepositoryAdoption {
  readonly name: RepositoryName;
  readonly #parts: AdoptParts;
  readonly #adopted: Adopted;
  #layers: Digest[] = [];
  #revisions: Digest[] = [];
  readonly #indexes = new Map<Digest, WholeManifest | undefined>();
  #indexBytes = 0;
  #pending: WholeManifest[] = [];
  #pendingBytes = 0;
  #pendingReferences = 0;
  #tags: TagFile[] = [];
  /** The last tag whose link was seen. */
  #lastTag: string | undefined;
  /** Manifests that were reported. */
  readonly #reported = new Set<Digest>();
  /** Blobs whose size differs from the one in a manifest. */
  readonly #wrongSize = new Set<Digest>();

  constructor(name: RepositoryName, parts: AdoptParts, adopted: Adopted) {
    this.name = name;
    this.#parts = parts;
    this.#adopted = adopted;
  }

  async add(file: TreeFile, entry: Entry): Promise<void> {
    switch (entry.kind) {
      case 'layer':
        if (await this.#isLinkTo(file, entry.digest)) this.#layers.push(entry.digest);
        if (this.#layers.length >= maxWaiting) await this.#checkLayers();
        return;
      case 'revision':
        if (await this.#isLinkTo(file, entry.digest)) this.#revisions.push(entry.digest);
        if (this.#revisions.length >= batch) await this.#adoptRevisions();
        return;
      case 'tag':
        this.#lastTag = entry.tag;
        this.#tags.push({ ...file, tag: entry.tag });
        if (this.#tags.length >= batch) await this.#adoptTags();
        return;
      case 'tag-history':
        if (entry.tag === this.#lastTag) return;
        this.#lastTag = entry.tag;
        return this.#error('tag-dangling', this.#tagSubject(entry.tag), 'its link is missing');
      case 'upload':
        this.#adopted.uploads += 1;
        return;
      case 'signature':
        return;
      case 'unknown':
        return this.#note('file-unknown', `file ${file.key}`, 'not part of a repository');
    }
  }

  async finish(): Promise<void> {
    await this.#adoptTags();
    await this.#checkLayers();
  }

  /** Whether a link names the digest of its path. An empty one counts, as its path says the same. */
  async #isLinkTo({ key, size }: TreeFile, digest: Digest): Promise<boolean> {
    if (size === digest.length) return true;
    if (size === 0) {
      this.#note('link-damaged', `file ${key}`, 'the link is empty; the digest in its path was used');
      return true;
    }
    const found = await this.#readLink(key);
    if (found.text === digest) return true;
    this.#error('link-damaged', `file ${key}`, found.problem ?? `the link names ${quote(found.text)}`);
    return false;
  }

  async #readLink(key: string): Promise<{ text: string; problem?: string }> {
    try {
      const bytes = await this.#parts.tree.read(key, maxLink);
      return bytes === undefined
        ? { text: '', problem: 'the link is missing' }
        : { text: bytes.toString('utf8').trim() };
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      this.#countUnreadable();
      return { text: '', problem: `cannot read the link: ${(error as Error).message}` };
    }
  }

  async #adoptRevisions(): Promise<void> {
    const digests = this.#revisions;
    this.#revisions = [];
    const held = await this.#heldManifests(digests);
    this.#adopted.manifests += held.size;
    await this.#readAll(
      digests.filter((digest) => !held.has(digest)),
      async (whole) => {
        if (whole.manifest.kind === 'image') return this.#enqueue(whole);
        this.#indexBytes += whole.bytes.length;
        this.#indexes.set(whole.digest, this.#indexBytes <= maxIndexBytes ? whole : undefined);
      },
    );
    await this.#writePending();
  }

  async #heldManifests(digests: readonly Digest[]): Promise<Set<string>> {
    const { read } = this.#parts.database;
    const repository = await findRepository(read, this.name);
    return repository === undefined ? new Set() : heldManifests(read, repository, digests);
  }

  /** Reads manifests, a few at a time; reports those that cannot be used. */
  async #readAll(digests: readonly Digest[], use: (whole: WholeManifest) => Promise<void>): Promise<void> {
    for (let start = 0; start < digests.length; start += concurrency) {
      this.#parts.signal.throwIfAborted();
      const group = digests.slice(start, start + concurrency);
      const read = await mapConcurrently(group, concurrency, (digest) =>
        readWholeManifest(this.#parts, digest),
      );
      for (const [index, result] of read.entries()) {
        if ('manifest' in result) await use(result);
        else {
          this.#skip(group[index] as Digest, result.kind, result.problem);
          if (result.kind === 'manifest-unreadable') this.#countUnreadable();
        }
      }
    }
  }

  async #enqueue(whole: WholeManifest): Promise<void> {
    const { bytes, manifest } = whole;
    this.#pending.push(whole);
    this.#pendingBytes += bytes.length;
    this.#pendingReferences += manifest.blobs.length + manifest.children.length;
    const isFull =
      this.#pending.length >= manifestsAtOnce ||
      this.#pendingBytes >= bytesAtOnce ||
      this.#pendingReferences >= referencesAtOnce;
    if (isFull) await this.#writePending();
  }

  /** Adopts the remaining manifests: first images, then indexes, each after those that it lists. */
  async #endRevisions(): Promise<void> {
    await this.#adoptRevisions();
    const visit = async (whole: WholeManifest): Promise<void> => {
      for (const { digest } of whole.manifest.children) await take(digest);
      await this.#enqueue(whole);
    };
    const take = async (digest: Digest): Promise<void> => {
      if (!this.#indexes.has(digest)) return;
      const whole = this.#indexes.get(digest);
      this.#indexes.delete(digest);
      await (whole === undefined ? this.#readAll([digest], visit) : visit(whole));
    };
    for (const digest of [...this.#indexes.keys()]) await take(digest);
    this.#indexBytes = 0;
    await this.#writePending();
  }

  async #writePending(): Promise<void> {
    const manifests = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#pendingReferences = 0;
    if (manifests.length === 0) return;
    const descriptors = manifests.flatMap((whole) => {
      const { childManifests } = referencesOf(whole);
      const layers = whole.manifest.children.filter(({ digest }) => !childManifests.has(digest));
      return [...whole.manifest.blobs, ...layers].map((descriptor) => ({ whole, descriptor }));
    });
    const digests = [...new Set(descriptors.map(({ descriptor }) => descriptor.digest))];
    const usable = await findUsable(this.#parts, digests);
    /** Those whose size is the one in a manifest. */
    const right = new Map<Digest, Usable>();
    const problems = new Map<Digest, Map<Digest, string>>();
    for (const { whole, descriptor } of descriptors) {
      const { digest, size } = descriptor;
      const found = usable.get(digest);
      if (found?.size === size) right.set(digest, found);
      if (found === undefined || found.size === size) continue;
      this.#wrongSize.add(digest);
      const problem = `${digest} has ${found.size} bytes instead of ${size}`;
      problems.set(whole.digest, (problems.get(whole.digest) ?? new Map()).set(digest, problem));
    }
    const held = await heldBlobsByName(this.#parts.database.read, this.name, [...right.keys()]);
    for (const digest of held) right.delete(digest as Digest);
    const known = { blobs: right, held: [...held] as Digest[] };
    const written = await writeManifests(this.#parts, this.name, manifests, known);
    this.#adopted.added.links += written.links;
    this.#adopted.added.manifests += written.manifests;
    this.#adopted.manifests += manifests.length;
    for (const { digest } of manifests) {
      const { digests, inserted } = written.missing.get(digest) ?? { digests: [], inserted: true };
      const wrong = problems.get(digest) ?? new Map<Digest, string>();
      const broken = new Set([...digests, ...wrong.keys()]);
      if (broken.size === 0) continue;
      const problem = shorten([...broken].map((digest) => wrong.get(digest) ?? `${digest} is missing`));
      if (inserted) {
        this.#note('manifest-incomplete', this.#manifestSubject(digest), `adopted, but ${problem}`);
      } else {
        this.#adopted.manifests -= 1;
        this.#skip(digest, 'manifest-incomplete', `not adopted: ${problem}`);
      }
    }
  }

  async #adoptTags(): Promise<void> {
    await this.#endRevisions();
    const files = this.#tags;
    this.#tags = [];
    const read = await mapConcurrently(files, concurrency, (file) => this.#readTag(file));
    const links = read.filter((link) => link !== undefined);
    if (links.length === 0) return;
    this.#parts.signal.throwIfAborted();
    const outcomes = await writeTags(this.#parts, this.name, links);
    for (const { tag, digest } of links) {
      const outcome = outcomes.get(tag);
      if (outcome === 'dangling') {
        const why = this.#reported.has(digest) ? 'was not adopted, see above' : 'is not in the repository';
        this.#error('tag-dangling', this.#tagSubject(tag), `its manifest ${digest} ${why}`);
        continue;
      }
      this.#adopted.tags += 1;
      if (outcome === 'moved') this.#adopted.added.tags += 1;
      if (outcome === 'kept') {
        const problem = `it was moved in Berth after its last move in the tree, where it points to ${digest}`;
        this.#note('tag-kept', this.#tagSubject(tag), problem);
      }
      if (outcome === 'immutable') {
        const problem = `it is immutable in Berth; in the tree it points to ${digest}`;
        this.#note('tag-kept', this.#tagSubject(tag), problem);
      }
    }
  }

  async #readTag({ key, size, tag: name, modifiedAt }: TagFile): Promise<TagLink | undefined> {
    const tag = asTag(name);
    if (tag === undefined) {
      this.#error('tag-invalid', this.#tagSubject(name), 'Berth does not allow this name of a tag');
      return undefined;
    }
    const { text, problem } =
      size === 0 ? { text: '', problem: 'the link is empty' } : await this.#readLink(key);
    const digest = asDigest(text);
    if (digest !== undefined) return { tag, digest, modifiedAt };
    const why = problem ?? `the link names ${quote(text)}`;
    this.#error('link-damaged', this.#tagSubject(name), `${why}; push the tag again`);
    return undefined;
  }

  /** Links the blobs that no manifest has linked. */
  /** Reports links of layers whose bytes are missing, if no manifest needs them. */
  async #checkLayers(): Promise<void> {
    const layers = this.#layers;
    this.#layers = [];
    for (let start = 0; start < layers.length; start += batch) {
      this.#parts.signal.throwIfAborted();
      const slice = layers.slice(start, start + batch);
      const held = await heldBlobsByName(this.#parts.database.read, this.name, slice);
      const left = slice.filter((digest) => !held.has(digest) && !this.#wrongSize.has(digest));
      if (left.length === 0) continue;
      const usable = await findUsable(this.#parts, left);
      for (const digest of left) {
        if (!usable.has(digest))
          this.#error(
            'blob-missing',
            `blob ${digest} of ${this.name}`,
            'it is linked, but its bytes are missing',
          );
      }
    }
  }

  /** @throws CannotAdopt */
  #countUnreadable(): void {
    this.#adopted.unreadable += 1;
    if (this.#adopted.unreadable < maxUnreadable) return;
    throw new CannotAdopt(
      `${maxUnreadable} files could not be read: check the rights on the store, and run this command again`,
    );
  }

  /** Reports a manifest that is not adopted. */
  #skip(digest: Digest, kind: FindingKind, problem: string): void {
    this.#reported.add(digest);
    this.#error(kind, this.#manifestSubject(digest), problem);
  }

  #manifestSubject(digest: Digest): string {
    return `manifest ${this.name}@${digest}`;
  }

  #tagSubject(tag: string): string {
    return `tag ${this.name}:${tag}`;
  }

  #error(kind: FindingKind, subject: string, problem: string): void {
    this.#report({ severity: 'error', kind, subject, problem });
  }

  #note(kind: FindingKind, subject: string, problem: string): void {
    this.#report({ severity: 'note', kind, subject, problem });
  }

  #report(finding: Finding): void {
    this.#parts.report(finding);
  }
}

const shownProblems = 5;

function shorten(problems: readonly string[]): string {
  const shown = problems.slice(0, shownProblems);
  const more = problems.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}
