/** A body that is being received into memory. */
export interface Holder {
  /** Memory has become scarce: what is more than a fair share should leave it. */
  scarce(): void;
}

const smallestShare = 64 << 10;

/**
 * What all bodies together may hold in memory before it is sent on. While there is plenty, each holds as much as serves it best.
 * Once half is taken, each gets its share of the rest, so that many slow clients neither fill the memory nor keep a fast one
 * waiting. More bodies than there are smallest shares wait for their turn, first come first served.
 */
export class UploadMemory {
  readonly #limit: number;
  readonly #holders = new Set<Holder>();
  readonly #waiting: (() => void)[] = [];
  #held = 0;

  /** @param limit bytes; exceeded by no more than what a socket delivers at once, per body */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes held now. */
  get held(): number {
    return this.#held;
  }

  get isScarce(): boolean {
    return this.#held >= this.#limit / 2;
  }

  /** Bytes that each body may hold beyond what is on its way, however scarce memory is. */
  get share(): number {
    return Math.max(smallestShare, Math.floor(this.#limit / 4 / Math.max(1, this.#holders.size)));
  }

  /** Resolves when the holder may begin. */
  async enter(holder: Holder): Promise<void> {
    if (this.#holders.size >= this.#limit / 4 / smallestShare) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#holders.add(holder);
  }

  leave(holder: Holder): void {
    this.#holders.delete(holder);
    this.#waiting.shift()?.();
  }

  /** @param bytes negative: given back */
  hold(bytes: number): void {
    const scarceBefore = this.isScarce;
    this.#held += bytes;
    if (this.isScarce && !scarceBefore) for (const holder of [...this.#holders]) holder.scarce();
  }
}
