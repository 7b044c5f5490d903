/** The error code of a failing call to the operating system. */
export type FaultCode = 'EIO' | 'ENOSPC' | 'EMFILE';

/** Whether a call fails before its work, or after it (a lost answer). */
export type FaultMoment = 'before' | 'after';

export interface Fault {
  /** Which call fails, from 1. */
  readonly at: number;
  readonly code: FaultCode;
  readonly moment: FaultMoment;
  /** Every later call fails too, before its work: the process is dead, or the called service is down. */
  readonly lasting?: boolean;
  /** Instead of failing, the call runs this function and waits until it resolves. */
  readonly stall?: () => Promise<void>;
}

/** Counts the wrapped calls and fails one of them. Until a fault is armed, all calls work normally. */
export class Faults {
  #fault: Fault | undefined;
  #calls = 0;
  #hit: string | undefined;

  /** Sets the next fault and restarts the count. */
  arm(fault: Fault): void {
    this.#fault = fault;
    this.#calls = 0;
    this.#hit = undefined;
  }

  disarm(): void {
    this.#fault = undefined;
  }

  /** The call that failed since the last `arm`, if there were that many calls. */
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

  /** For calls that can neither fail after their work nor stall. */
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
