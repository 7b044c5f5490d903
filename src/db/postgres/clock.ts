/** Milliseconds of round trip beyond which the server's time is too imprecise. */
const tooSlow = 1_000;

/**
 * The server's clock without a query for each reading: this process's monotonic clock, regularly set to the server's. Times that
 * replicas compare with each other (leases, reviews) thus come from one clock.
 */
export class ServerClock {
  #offset: number | undefined;

  /** @param ask returns the server's time, in milliseconds since 1970 */
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
