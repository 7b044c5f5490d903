/** Milliseconds of round trip beyond which an answer says too little about the time. */
const tooSlow = 1_000;

/**
 * The server's clock without asking it each time: this process's monotonic clock, set by the server's now and then. What
 * replicas compare with each other (leases, reviews) is then one clock's, whatever their own say.
 */
export class ServerClock {
  #offset: number | undefined;

  /** @param ask the server's time, in milliseconds since 1970 */
  async set(ask: () => Promise<number>): Promise<void> {
    const asked = performance.now();
    const time = await ask();
    const answered = performance.now();
    if (this.#offset !== undefined && answered - asked > tooSlow) return;
    this.#offset = time - (asked + answered) / 2;
  }

  readonly now = (): number => {
    if (this.#offset === undefined) throw new Error('the clock was never set');
    return Math.floor(performance.now() + this.#offset);
  };
}
