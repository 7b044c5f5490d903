import type { Readable } from 'node:stream';
import type { AppendOptions } from './blob-store.ts';
import type { Files } from './files.ts';
import { followBody } from './follow-body.ts';

let bodies = 0;

/**
 * Bytes of one body that may wait for the disk before the sender is paused. Large while there are few bodies, so that the fixed cost
 * of a write does not delay them. Small while there are hundreds, so that together they use some tens of MiB.
 */
function highWater(): number {
  return bodies <= 8 ? 4 << 20 : bodies <= 32 ? 1 << 20 : 256 << 10;
}

/**
 * Writes `body` to the file that `open` opens, from `position` on. One `writev` runs while the next chunks arrive and are hashed
 * (`tap`), so disk and processor work at the same time. Memory is bounded by `highWater()`.
 *
 * Resolves with the bytes written, and with `interrupted` when the body broke off; rejects when writing failed.
 */
export function writeBody(
  files: Pick<Files, 'writev'>,
  open: () => Promise<number>,
  position: number,
  body: Readable,
  { tap, signal }: AppendOptions,
): Promise<{ written: number; interrupted?: Error }> {
  bodies++;
  return new Promise<{ written: number; interrupted?: Error }>((resolve, reject) => {
    let pending: Buffer[] = [];
    let pendingBytes = 0;
    let written = 0;
    let writing = false;
    let ended = false;
    let interrupted: Error | undefined;

    // Rejects at once when the disk is full, without waiting for the rest of the body.
    const fail = (error: unknown): void => {
      stopListening();
      reject(error);
    };

    const flush = async (): Promise<void> => {
      writing = true;
      try {
        const fd = await open();
        while (pendingBytes >= highWater() / 4 || (ended && pendingBytes > 0)) {
          const buffers = pending;
          const size = pendingBytes;
          pending = [];
          pendingBytes = 0;
          await writeAll(files, fd, buffers, size, position + written);
          written += size;
          if (body.isPaused() && pendingBytes < highWater()) body.resume();
        }
        writing = false;
        if (ended) finish();
      } catch (error) {
        fail(error);
      }
    };

    const finish = (): void => resolve({ written, ...(interrupted && { interrupted }) });

    const stopListening = followBody(body, signal, {
      data: (chunk) => {
        tap(chunk);
        pending.push(chunk);
        pendingBytes += chunk.length;
        if (!writing && pendingBytes >= highWater() / 4) flush();
        if (pendingBytes >= highWater()) body.pause();
      },
      end: (reason) => {
        ended = true;
        interrupted = reason;
        if (writing) return;
        if (pendingBytes > 0) flush();
        else finish();
      },
    });
  }).finally(() => {
    bodies--;
  });
}

async function writeAll(
  files: Pick<Files, 'writev'>,
  fd: number,
  buffers: Buffer[],
  size: number,
  position: number,
): Promise<void> {
  let done = await files.writev(fd, buffers, position);
  while (done < size) {
    // Short writes happen on nearly full disks and at signals: continue after the written bytes.
    done += await files.writev(fd, [Buffer.concat(buffers).subarray(done)], position + done);
  }
}
