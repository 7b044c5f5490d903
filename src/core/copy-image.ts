// Copies images between repositories by rows alone: no byte of a blob moves.
import { linkBlobsOf, lockBlobsOf } from '../db/blob-links.ts';
import { recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { inTurns } from '../db/in-turns.ts';
import { lockTags } from '../db/locks.ts';
import { lockManifestShared } from '../db/manifests.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { hasQuotas } from '../db/quotas.ts';
import { listChildren, listReferrers, type ReferrerRow } from '../db/referrers.ts';
import { findRepositoryRow, type RepositoryRow } from '../db/repositories.ts';
import { sliceSize } from '../db/slices.ts';
import { findTag } from '../db/tags.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { readManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { printReference, type Reference, type Tag } from '../oci/reference.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import type { Clock } from './clock.ts';
import { damagedBlob } from './damaged-blob.ts';
import { checkRights, findByReference, type Manifests, type PushRights } from './manifests.ts';
import { moveTags } from './move-tags.ts';
import type { Pusher } from './pusher.ts';
import { findOrAddRepository, isLimited, noQuotas, type QuotaDefaults, requireSpace } from './quotas.ts';

export interface ImageCopy extends Pusher {
  readonly from: { readonly name: RepositoryName; readonly reference: Reference };
  readonly to: { readonly name: RepositoryName; readonly tag: Tag };
  /** Whether to copy the referrers too (signatures, attestations, …), of the image and of each manifest in it. */
  readonly referrers: boolean;
  /** Whether the caller may pull from the source. If not, the answer is that of a missing repository. */
  readonly mayPull: (repository: RepositoryRow) => boolean;
  /** In the destination. */
  readonly rights: PushRights;
}

export interface CopiedImage {
  readonly digest: Digest;
  /** Manifests that the destination did not hold before. */
  readonly copied: number;
  /** The digest that the tag pointed to before; `undefined` if it did not exist. */
  readonly before: Digest | undefined;
}

export interface CopyParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Stores the manifests with the checks of a push. */
  readonly manifests: Manifests;
  /** The configured rules of immutable tags. */
  readonly immutableTags: readonly TagRule[];
  /** The configured quotas; absent: none. */
  readonly quotas?: QuotaDefaults;
}

/** Maximum number of manifests in one copy: an index may have 10,000 children. */
const maxManifests = 20_000;

/**
 * Copies an image, or an index with its children at any depth, and sets the tag last. Each manifest is one transaction, so a copy that
 * was interrupted can be repeated. A manifest is refused if its push would be. Durable on return.
 *
 * @throws RegistryError `NAME_UNKNOWN` | `MANIFEST_UNKNOWN` | `MANIFEST_BLOB_UNKNOWN` | `DENIED`; `UNSUPPORTED` for too many manifests; `UNKNOWN`
 *   for a damaged blob
 */
export async function copyImage(
  parts: CopyParts,
  copy: ImageCopy,
  limit = maxManifests,
): Promise<CopiedImage> {
  const { read } = parts.database;
  const { name, reference } = copy.from;
  const source = await findRepositoryRow(read, name);
  if (source === undefined || !copy.mayPull(source)) {
    throw new RegistryError('NAME_UNKNOWN', { name }, { message: `there is no repository ${name}` });
  }
  const image = await findByReference(read, name, reference);
  if (image === undefined || image.repository_id !== source.id) throw unknown(name, reference);
  let copied = 0;
  for (const digest of await listParts(read, source.id, image, copy.referrers, limit)) {
    if (await copyManifest(parts, copy, source, digest)) copied += 1;
  }
  return { digest: image.digest, copied, before: await setTag(parts, copy, image.digest) };
}

type Node = Pick<ReferrerRow, 'id' | 'digest'>;

/**
 * The digests of the image, its children and all referrers, at any depth: children first, then their index, then its referrers.
 * @throws RegistryError `UNSUPPORTED` if there are more than `limit`
 */
export async function listParts(
  db: Db,
  repository: number,
  image: Node,
  referrers: boolean,
  limit = maxManifests,
): Promise<Digest[]> {
  const listed: Digest[] = [];
  const seen = new Set<string>();
  // A stack, because indexes may be nested deeper than calls.
  const open: { readonly node: Node; rest: Node[]; isListed: boolean }[] = [];
  const enter = async (node: Node): Promise<void> => {
    if (seen.has(node.digest)) return;
    seen.add(node.digest);
    if (seen.size > limit) {
      throw new RegistryError('UNSUPPORTED', undefined, {
        message: `the image has more than ${limit} manifests, with children and referrers`,
      });
    }
    const rest = await readPages<Node>((last) => listChildren(db, repository, node.id, last?.digest ?? ''));
    open.push({ node, rest, isListed: false });
  };
  await enter(image);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const next = top.rest.pop();
    if (next !== undefined) {
      await enter(next);
    } else if (top.isListed) {
      open.pop();
    } else {
      listed.push(top.node.digest as Digest);
      top.isListed = true;
      if (referrers) top.rest = await referrersOf(db, repository, top.node.digest as Digest);
    }
  }
  return listed;
}

function referrersOf(db: Db, repository: number, subject: Digest): Promise<ReferrerRow[]> {
  return readPages<ReferrerRow>((last) => {
    const after = { rank: last?.rank ?? 0, digest: last?.digest ?? '' };
    return listReferrers(db, repository, subject, { after, limit: sliceSize });
  });
}

/** Reads all pages of up to {@link sliceSize} rows; `read` gets the last row of the page before. */
async function readPages<T>(read: (last: T | undefined) => Promise<readonly T[]>): Promise<T[]> {
  const rows: T[] = [];
  for (;;) {
    const page = await read(rows.at(-1));
    rows.push(...page);
    if (page.length < sliceSize || rows.length > maxManifests) return rows;
    await nextTurn();
  }
}

/** Returns whether the destination did not hold the manifest before. */
async function copyManifest(
  { database, clock, manifests, quotas = noQuotas }: CopyParts,
  copy: ImageCopy,
  source: RepositoryRow,
  digest: Digest,
): Promise<boolean> {
  const { from, to, by, namespace, rights } = copy;
  const { mediaType, bytes } = await manifests.get(from.name, { kind: 'digest', digest }, source.id);
  const manifest = await inTurns(readManifest(bytes, mediaType));
  const annotations = manifest.annotations ? JSON.stringify(manifest.annotations) : null;
  const needed = new Set([...manifest.blobs, ...manifest.children].map((descriptor) => descriptor.digest));
  return database.transaction(
    async (db) => {
      const now = clock();
      await namespace?.make(db, by, now);
      const repository = await findOrAddRepository(db, quotas, to.name, now);
      await checkRights(db, repository, digest, [], rights);
      // From here on the blobs cannot be deleted, nor removed from the source while the manifest needs them there.
      const held = await lockBlobsOf(db, source.id, needed, now);
      const damaged = held.find(({ isDamaged }) => isDamaged);
      if (damaged !== undefined) throw damagedBlob(damaged.digest);
      const digests = held.map(({ digest }) => digest);
      // Checked after the blobs are locked: while the source has the manifest, its blobs cannot be removed from the source.
      if ((await lockManifestShared(db, source.id, digest)) === undefined) {
        throw unknown(from.name, { kind: 'digest', digest });
      }
      if (isLimited(quotas, await hasQuotas(db))) {
        await requireSpace(db, quotas, { id: repository, name: to.name }, { blobs: digests });
      }
      await linkBlobsOf(db, source.id, repository, digests, now);
      const pushed = { repository, digest, manifest, annotations, bytes };
      const { isNew } = await manifests.store(db, pushed, now);
      if (isNew) await recordChange(db, by, changeOf(copy, repository, digest), now);
      return isNew;
    },
    // The transaction that sets the tag makes this one durable too.
    { durable: false },
  );
}

/** Points the tag to the copied image. Returns the digest that it pointed to before. */
async function setTag(
  { database, clock, immutableTags, quotas = noQuotas }: CopyParts,
  copy: ImageCopy,
  digest: Digest,
): Promise<Digest | undefined> {
  const { name, tag } = copy.to;
  return database.transaction(async (db) => {
    const repository = await findOrAddRepository(db, quotas, name, clock());
    await lockTags(db, repository, [tag]);
    await checkRights(db, repository, digest, [tag], copy.rights);
    const manifest = await lockManifestShared(db, repository, digest);
    // Another request has deleted it meanwhile.
    if (manifest === undefined) throw unknown(name, { kind: 'digest', digest });
    const before = (await findTag(db, repository, tag))?.digest as Digest | undefined;
    if (before !== digest) {
      const change = changeOf(copy, repository, digest);
      const advice = '; choose another tag';
      const move = { tags: [tag], manifest: manifest.id, now: clock(), advice, quotas };
      await moveTags(db, copy.by, immutableTags, change, move);
    }
    return before;
  });
}

function changeOf({ from, to }: ImageCopy, repositoryId: number, newDigest: Digest) {
  const detail = { from: from.name, reference: printReference(from.reference) };
  return { kind: 'manifest.copy', repository: to.name, repositoryId, newDigest, detail };
}

function unknown(name: RepositoryName, reference: Reference): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', { name, reference: printReference(reference) });
}
