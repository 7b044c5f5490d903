import { blobsAlone, manifestsKept } from '../db/exclusive.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { type HeldReference, listReferences } from '../db/references.ts';
import { sliceSize } from '../db/slices.ts';

/** Maximum number of references that are read for one call. */
const maxReferences = 100_000;

/** What deleting an image would free; `undefined` where it has too many references. */
export interface ImageShare {
  /** Bytes of the blobs that the repository needs for this image only. */
  readonly exclusive: number;
  /** Those of them that no other repository holds. */
  readonly frees: number;
}

/**
 * What would be free if a tag, its manifest and the children that nothing else needs were deleted: nothing, if another tag or an
 * index needs the manifest.
 * @param image row id of the tag's manifest
 */
export async function imageShare(
  db: Db,
  repository: number,
  image: number,
  limit = maxReferences,
): Promise<ImageShare | undefined> {
  const known = await readReferences(db, repository, [image], limit);
  const parts = partsOf(image, known);
  if (parts === undefined) return undefined;
  if ((await manifestsKept(db, [image], [image], 1)).size > 0) return { exclusive: 0, frees: 0 };
  const gone = new Set([image]);
  // Children of children need another round.
  for (let before = 0; before < gone.size; ) {
    before = gone.size;
    const rest = [...parts.manifests].filter((id) => !gone.has(id));
    const kept = await manifestsKept(db, rest, [...gone], 0);
    for (const id of rest) if (!kept.has(id)) gone.add(id);
    await nextTurn();
  }
  const digests = new Set([...gone].flatMap((id) => [...(known.get(id)?.blobs.keys() ?? [])]));
  const share = { exclusive: 0, frees: 0 };
  const list = [...digests];
  for (let start = 0; start < list.length; start += sliceSize) {
    const alone = await blobsAlone(db, repository, list.slice(start, start + sliceSize), [...gone]);
    share.exclusive += alone.exclusive;
    share.frees += alone.frees;
    await nextTurn();
  }
  return share;
}

interface References {
  readonly blobs: Map<string, number>;
  readonly children: number[];
}

/**
 * Bytes of the distinct blobs of each image, with those of its children at any depth. Manifests and layers that are stored elsewhere
 * do not count.
 * @param images row ids of manifests of the repository
 * @returns the sizes by id; `undefined` where the images together have too many references
 */
export async function imageSizes(
  db: Db,
  repository: number,
  images: readonly number[],
  limit = maxReferences,
): Promise<Map<number, number | undefined>> {
  const known = await readReferences(db, repository, images, limit);
  const sizes = new Map<number, number | undefined>();
  for (const image of new Set(images)) {
    sizes.set(image, sizeOf(image, known));
    await nextTurn();
  }
  return sizes;
}

/** Reads one level of children after another, until all are known or there are too many. */
async function readReferences(
  db: Db,
  repository: number,
  images: readonly number[],
  limit: number,
): Promise<Map<number, References>> {
  const known = new Map<number, References>();
  let count = 0;
  for (let level = new Set(images); level.size > 0; ) {
    const found = new Map<number, References>(
      [...level].map((id) => [id, { blobs: new Map<string, number>(), children: [] }]),
    );
    let last: HeldReference | undefined;
    do {
      const page = await listReferences(db, repository, [...level], last, sliceSize);
      for (const { manifest_id, digest, child, size } of page) {
        const { blobs, children } = found.get(manifest_id) as References;
        if (child !== null) children.push(child);
        else if (size !== null) blobs.set(digest, size);
      }
      count += page.length;
      if (count > limit) return known;
      last = page.length === sliceSize ? page.at(-1) : undefined;
      await nextTurn();
    } while (last !== undefined);
    for (const [id, references] of found) known.set(id, references);
    level = new Set([...found.values()].flatMap(({ children }) => children).filter((id) => !known.has(id)));
  }
  return known;
}

function sizeOf(image: number, known: ReadonlyMap<number, References>): number | undefined {
  const parts = partsOf(image, known);
  if (parts === undefined) return undefined;
  let bytes = 0;
  for (const size of parts.blobs.values()) bytes += size;
  return bytes;
}

/** The image with its children at any depth, and the sizes of all their blobs; `undefined` if not all references are known. */
function partsOf(
  image: number,
  known: ReadonlyMap<number, References>,
): { manifests: ReadonlySet<number>; blobs: ReadonlyMap<string, number> } | undefined {
  const blobs = new Map<string, number>();
  const open = [image];
  const seen = new Set(open);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const references = known.get(id);
    if (references === undefined) return undefined;
    for (const [digest, size] of references.blobs) blobs.set(digest, size);
    for (const child of references.children) {
      if (!seen.has(child)) open.push(child);
      seen.add(child);
    }
  }
  return { manifests: seen, blobs };
}
