import type { Files } from './files.ts';

/** Free bytes that blobs leave for the database; on a small disk, an eighth of it. */
const maxReserve = 64 << 20;
/** Milliseconds for which a check is reused; hundreds of small pushes share it. */
const spaceKnownFor = 10;

/**
 * A check that the file system of `folder` has free space. On a disk filled to the last byte even deletes fail: the database needs space
 * to record them. The check rejects with `ENOSPC`.
 */
export function freeSpaceCheck(folder: string, files: Pick<Files, 'statfs'>): () => Promise<void> {
  let seenAt = Number.NEGATIVE_INFINITY;
  return async () => {
    const now = performance.now();
    if (now - seenAt < spaceKnownFor) return;
    const { bavail, blocks, bsize } = await files.statfs(folder);
    const reserve = Math.min(maxReserve, (blocks * bsize) / 8);
    if (bavail * bsize >= reserve) {
      seenAt = now;
      return;
    }
    const message = `less than ${Math.round(reserve)} bytes are free at ${folder}`;
    throw Object.assign(new Error(message), { code: 'ENOSPC' });
  };
}
