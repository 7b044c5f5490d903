import { findBlobRows } from '../../db/blobs.ts';
import { parkBlobs } from '../../db/parked-blobs.ts';
import { type Digest, digestAlgorithm } from '../../oci/digest.ts';
import { blobKey, parseBlobKey } from '../../storage/blob-store.ts';
import { mapConcurrently } from '../../storage/concurrently.ts';
import { digestBytes } from '../running-hash.ts';
import { blobsFolder } from './layout.ts';
import { type Adopted, type AdoptParts, batch, concurrency } from './parts.ts';

interface BlobFile {
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Records every blob file as parked: it belongs to no repository yet, and garbage collection keeps it for `deletes.keepUnknownFor`,
 * so that nothing is lost if the adoption ends here. No blob is read; the listing has the sizes.
 */
export async function adoptBlobs(parts: AdoptParts, adopted: Adopted): Promise<void> {
  const { tree, signal, report, progress } = parts;
  progress.begin('reading blobs', 'blobs', 0);
  let files: BlobFile[] = [];
  const write = async (): Promise<void> => {
    await recordFiles(parts, files);
    progress.add(files.length);
    const last = files.at(-1);
    if (last !== undefined) progress.expect(Math.round(adopted.blobs / shareListed(last.digest)));
    files = [];
  };
  for await (const { key, size } of tree.list(blobsFolder)) {
    signal.throwIfAborted();
    const parsed = parseBlobKey(key);
    if (parsed === undefined) {
      report({ severity: 'note', kind: 'file-unknown', subject: `file ${key}`, problem: 'not a blob' });
      continue;
    }
    const { digest, generation } = parsed;
    // A later generation was pushed to Berth, so it has a row.
    if (generation !== 0) continue;
    adopted.blobs += 1;
    adopted.bytes += size;
    if (isEmptied({ digest, size })) {
      const problem = 'its file is empty; restore it, or push its image again';
      report({ severity: 'error', kind: 'blob-empty', subject: `blob ${digest}`, problem });
      continue;
    }
    files.push({ digest, size });
    if (files.length >= batch) await write();
  }
  await write();
}

async function recordFiles({ database }: AdoptParts, files: readonly BlobFile[]): Promise<void> {
  const rows = await findBlobRows(
    database.read,
    files.map(({ digest }) => digest),
  );
  const changed = files.filter(({ digest, size }) => rows.get(digest)?.size !== size);
  if (changed.length > 0) await database.transaction((db) => parkBlobs(db, changed, database.clock()));
}

/** The share of the listing that ends with this digest: digests are evenly spread, and listed in order. */
function shareListed(digest: Digest): number {
  return (Number.parseInt(digest.slice(7, 10), 16) + 1) / 4096;
}

/** Whether a file without bytes has the digest of other bytes. A power cut leaves such files. */
export function isEmptied({ digest, size }: BlobFile): boolean {
  return size === 0 && digest !== digestBytes(digestAlgorithm(digest), Buffer.alloc(0));
}

/** Bytes of a blob that a repository may hold. */
export interface Usable {
  readonly size: number;
  readonly generation: number;
}

/** The blobs of `digests` that are stored. Looks into the store for those without a row: they are newer than the listing. */
export async function findUsable(
  { database, store }: Pick<AdoptParts, 'database' | 'store'>,
  digests: readonly Digest[],
): Promise<Map<Digest, Usable>> {
  const rows = await findBlobRows(database.read, digests);
  const usable = new Map<Digest, Usable>();
  await mapConcurrently(digests, concurrency, async (digest) => {
    const row = rows.get(digest);
    if (row !== undefined && row.state !== 'stored') return;
    const found = row ?? (await store.stat(blobKey(digest, 0)));
    if (found === undefined || isEmptied({ digest, size: found.size })) return;
    usable.set(digest, { size: found.size, generation: row?.generation ?? 0 });
  });
  return usable;
}
