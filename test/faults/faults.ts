/** What a failing call of the operating system throws. */
export type FaultCode = 'EIO' | 'ENOSPC' | 'EMFILE';

/** Whether a call fails without having done anything, or does its work and fails all the same (a lost answer). */
export type FaultMoment = 'before' | 'after';

export interface Fault {
  /** Which call fails, from 1. */
  readonly at: number;
  readonly code: FaultCode;
  readonly moment: FaultMoment;
  /** Every later call fails as well, before its work: the process is dead, or what it calls is away. */
  readonly lasting?: boolean;
  /** The call does not fail: it stands still until this, which is called then, resolves. */
  readonly stall?: () => Promise<void>;
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
    const fault = this.#next(call);
    if (fault?.moment === 'before') await fault.strike();
    const result = await work();
    if (fault?.moment === 'after') await fault.strike();
    return result;
  }

  /** For calls that answer at once, and so can neither fail after their work nor stand still. */
  check(call: string): void {
    if (this.#fault?.stall === undefined) this.#next(call)?.fail();
  }

  #next(call: string): { moment: FaultMoment; fail(): never; strike(): Promise<void> } | undefined {
    if (this.#fault === undefined) return undefined;
    this.#calls += 1;
    const { at, code, lasting = false, stall } = this.#fault;
    if (this.#calls < at || (this.#calls > at && !lasting)) return undefined;
    const moment = this.#calls === at ? this.#fault.moment : 'before';
    this.#hit ??= call;
    const fail = (): never => {
      throw Object.assign(new Error(`${code}: injected into ${call}`), { code });
    };
    return { moment, fail, strike: async () => (stall ? await stall() : fail()) };
  }
}
