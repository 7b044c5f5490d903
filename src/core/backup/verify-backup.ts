import { asDigest } from '../../oci/digest.ts';
import { type BlobStore, blobKey } from '../../storage/blob-store.ts';
import { concurrently } from '../../storage/concurrently.ts';
import { BackupError } from './backup-error.ts';
import type { BackupContents } from './contents.ts';
import { linesOf } from './row-files.ts';

export interface VerifyParts {
  readonly contents: BackupContents;
  /** Reads a file of the backup. */
  readonly read: (file: string) => Promise<Uint8Array | undefined>;
  readonly signal: AbortSignal;
  /** Reports verified rows. */
  readonly verified: (rows: number) => void;
}

/** Reads every file of a backup, and compares sizes, SHA-256 and numbers of rows. @throws BackupError at the first difference */
export async function verifyRows({ contents, read, signal, verified }: VerifyParts): Promise<void> {
  for (const { table, rows, files } of contents.tables) {
    let found = 0;
    for (const file of files) {
      signal.throwIfAborted();
      found += (await linesOf(file, await read(file.name))).length;
      verified(file.rows);
    }
    if (found !== rows)
      throw new BackupError(`table ${table} has ${found} rows, and backup.json says ${rows}`);
  }
}

/** Blobs whose size is checked at once, which hides the latency of a bucket. */
const concurrency = 16;

/** Compares the size of each stored blob of a verified backup with its copy. Returns the number of missing or damaged copies. */
export async function verifyBlobs(
  { contents, read, signal }: Omit<VerifyParts, 'verified'>,
  blobs: BlobStore,
  problem: (text: string) => void,
): Promise<number> {
  let problems = 0;
  await concurrently(storedBlobs({ contents, read }), concurrency, async ({ digest, generation, size }) => {
    signal.throwIfAborted();
    const parsed = asDigest(digest);
    const found = parsed && (await blobs.stat(blobKey(parsed, generation)));
    if (found?.size === size) return;
    problems += 1;
    const what = found === undefined ? 'is missing' : `has ${found.size} bytes instead of ${size}`;
    problem(`the copy of blob ${digest} ${what}`);
  });
  return problems;
}

/** A stored blob in a backup. */
export interface BackedUpBlob {
  readonly digest: string;
  readonly size: number;
  readonly generation: number;
  /** The last time that a repository got, referenced or released it. */
  readonly review_at: number;
}

/** The stored blobs of a backup. @throws BackupError if a file is damaged */
export async function* storedBlobs({
  contents,
  read,
}: Pick<VerifyParts, 'contents' | 'read'>): AsyncGenerator<BackedUpBlob> {
  const files = contents.tables.find(({ table }) => table === 'blobs')?.files ?? [];
  for (const file of files) {
    for (const line of await linesOf(file, await read(file.name))) {
      const blob = JSON.parse(line) as BackedUpBlob & { readonly state: string };
      if (blob.state === 'stored') yield blob;
    }
  }
}
