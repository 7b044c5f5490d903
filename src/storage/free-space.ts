import type { Files } from './files.ts';

/** Maximum of the free bytes that are reserved for the database; on a small disk, an eighth of the disk is reserved. */
const maxReserve = 64 << 20;
/** Milliseconds for which a successful check is reused, because hundreds of small pushes may check at the same time. */
const validFor = 10;

/**
 * Returns a check that the file system of `folder` has free space; it rejects with `ENOSPC`. On a completely full disk even deletes
 * fail, because the database needs space to record them.
 */
export function freeSpaceCheck(folder: string, files: Pick<Files, 'statfs'>): () => Promise<void> {
  let checkedAt = Number.NEGATIVE_INFINITY;
  return async () => {
    const now = performance.now();
    if (now - checkedAt < validFor) return;
    const { bavail, blocks, bsize } = await files.statfs(folder);
    const reserve = Math.min(maxReserve, (blocks * bsize) / 8);
    if (bavail * bsize >= reserve) {
      checkedAt = now;
      return;
    }
    const message = `less than ${Math.round(reserve)} bytes are free at ${folder}`;
    throw Object.assign(new Error(message), { code: 'ENOSPC' });
  };
}
