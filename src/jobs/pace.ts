import { setTimeout as delay } from 'node:timers/promises';

/** Limits how many blobs and bytes are deleted in a second. */
export class Pace {
  /** Milliseconds for each blob and each byte; 0 if there is no limit. */
  readonly #perBlob: number;
  readonly #perByte: number;
  /** When the next deletion may begin, in milliseconds of the process. */
  #next = 0;

  /** A limit of 0 is none. */
  constructor({ blobsPerSecond, bytesPerSecond }: { blobsPerSecond: number; bytesPerSecond: number }) {
    this.#perBlob = blobsPerSecond === 0 ? 0 : 1_000 / blobsPerSecond;
    this.#perByte = bytesPerSecond === 0 ? 0 : 1_000 / bytesPerSecond;
  }

  /** Waits until a blob of `size` bytes may be deleted. Rejects when the signal is aborted. */
  async spend(size: number, signal?: AbortSignal): Promise<void> {
    const now = performance.now();
    const begin = Math.max(now, this.#next);
    this.#next = begin + Math.max(this.#perBlob, this.#perByte * size);
    // A timer can fire early, by as long as the event loop was held before it was set.
    for (let left = begin - now; left > 0; left = begin - performance.now()) {
      await delay(left, undefined, { signal });
    }
  }
}

/**
 * Leaves the event loop, the database and the disk to requests for half of the time: a background job rests after each batch for as
 * long as the batch took, so that it rests longer while there are many requests.
 */
export class Rest {
  #begin = performance.now();

  /** Rests after a batch. Rejects when the signal is aborted. */
  async take(signal?: AbortSignal): Promise<void> {
    await delay(performance.now() - this.#begin, undefined, { signal });
    this.#begin = performance.now();
  }
}
