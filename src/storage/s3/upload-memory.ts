/** A body that is being received into memory. */
export interface Receiver {
  /** Memory has become scarce: bytes beyond {@link UploadMemory.share} should be sent now. */
  scarce(): void;
}

const smallestShare = 64 << 10;

/**
 * Limits the memory of all bodies that are being sent to the bucket. While less than half of it is used, each body fills whole
 * segments. After that each body gets an equal share, so that many slow clients neither fill the memory nor block a fast one. When
 * no share of the minimum size is left, further bodies wait, first come first served.
 */
export class UploadMemory {
  readonly #limit: number;
  readonly #receivers = new Set<Receiver>();
  readonly #waiting: (() => void)[] = [];
  #used = 0;

  /** @param limit bytes; each body may exceed it by at most one chunk of its socket */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes in use. */
  get used(): number {
    return this.#used;
  }

  get isScarce(): boolean {
    return this.#used >= this.#limit / 2;
  }

  /** Bytes that each body may collect when memory is scarce, besides those being sent. */
  get share(): number {
    return Math.max(smallestShare, Math.floor(this.#limit / 4 / Math.max(1, this.#receivers.size)));
  }

  /** Resolves when the body may be received. */
  async enter(receiver: Receiver): Promise<void> {
    if (this.#receivers.size >= this.#limit / 4 / smallestShare) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#receivers.add(receiver);
  }

  leave(receiver: Receiver): void {
    this.#receivers.delete(receiver);
    this.#waiting.shift()?.();
  }

  /** Counts allocated memory. @param bytes negative if the memory was released */
  allocated(bytes: number): void {
    const scarceBefore = this.isScarce;
    this.#used += bytes;
    if (this.isScarce && !scarceBefore) for (const receiver of [...this.#receivers]) receiver.scarce();
  }
}
