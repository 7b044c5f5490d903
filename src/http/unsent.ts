import type { ServerResponse } from 'node:http';

/** The smallest answer that is counted, in bytes. Smaller ones cost little compared to their connection. */
export const countedFrom = 64 << 10;

/**
 * Limits the bytes of answers that wait in memory because their clients do not read them. Beyond the limit it destroys the
 * connections of the oldest answers: these had the most time.
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

  /** Counts the `bytes` of a body, from its `end()` until the operating system has accepted them or the connection closes. */
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

/** The limit of this process: thirty of the largest manifests or list pages. */
export const unsentAnswers = new UnsentAnswers(128 << 20);
