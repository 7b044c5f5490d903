/** What a failing call of the operating system throws. */
export type FaultCode = 'EIO' | 'ENOSPC' | 'EMFILE';

/** Whether a call fails without having done anything, or does its work and fails all the same (a lost answer). */
export type FaultMoment = 'before' | 'after';

export interface Fault {
  /** Which call fails, from 1. */
  readonly at: number;
  readonly code: FaultCode;
  readonly moment: FaultMoment;
}

/** Counts the calls that go through it and fails one of them. What it wraps works normally until a fault is armed. */
export class Faults {
  #fault: Fault | undefined;
  #calls = 0;
  #hit: string | undefined;

  /** Forgets what was counted before. */
  arm(fault: Fault): void {
    this.#fault = fault;
    this.#calls = 0;
    this.#hit = undefined;
  }

  disarm(): void {
    this.#fault = undefined;
  }

  /** The call that failed since the last `arm`, if the scenario had that many. */
  get hit(): string | undefined {
    return this.#hit;
  }

  async around<T>(call: string, work: () => Promise<T>): Promise<T> {
    const error = this.#next(call);
    if (error?.moment === 'before') throw error.thrown;
    const result = await work();
    if (error?.moment === 'after') throw error.thrown;
    return result;
  }

  /** For calls that answer at once, and so cannot fail after their work. */
  check(call: string): void {
    const error = this.#next(call);
    if (error) throw error.thrown;
  }

  #next(call: string): { moment: FaultMoment; thrown: Error } | undefined {
    if (this.#fault === undefined) return undefined;
    this.#calls += 1;
    if (this.#calls !== this.#fault.at) return undefined;
    this.#hit = call;
    const { code, moment } = this.#fault;
    return { moment, thrown: Object.assign(new Error(`${code}: injected into ${call}`), { code }) };
  }
}
