import type { ServerResponse } from 'node:http';

/** Bytes from which on an answer is counted. Smaller ones are few bytes beside what a connection costs anyway. */
export const countedFrom = 64 << 10;

/**
 * Bounds the bytes of answers that are whole in memory and that the system has not taken yet, as their clients do not read. Beyond the
 * limit the connections of the oldest are destroyed: they had the most time.
 */
export class UnsentAnswers {
  readonly #limit: number;
  /** The oldest first. */
  readonly #answers = new Map<ServerResponse, number>();
  #bytes = 0;

  /** @param limit in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts the `bytes` of a body, from its `end()` until the system has taken them or the connection is gone. */
  add(response: ServerResponse, bytes: number): void {
    if (response.destroyed) return;
    this.#answers.set(response, bytes);
    this.#bytes += bytes;
    const remove = (): void => this.#remove(response);
    response.once('finish', remove).once('close', remove);
    for (const [oldest] of this.#answers) {
      if (this.#bytes <= this.#limit || oldest === response) return;
      this.#remove(oldest);
      oldest.destroy();
    }
  }

  #remove(response: ServerResponse): void {
    this.#bytes -= this.#answers.get(response) ?? 0;
    this.#answers.delete(response);
  }
}

/** Of this process. Thirty of the largest manifests, or of pages of a list, fit. */
export const unsentAnswers = new UnsentAnswers(128 << 20);
