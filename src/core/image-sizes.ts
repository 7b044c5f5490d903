import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { type HeldReference, listReferences } from '../db/references.ts';
import { sliceSize } from '../db/slices.ts';

/** Maximum number of references that are read for one call. */
const maxReferences = 100_000;

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
  let bytes = 0;
  for (const size of blobs.values()) bytes += size;
  return bytes;
}
