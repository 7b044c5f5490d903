// The history of one URL as that of a register: what was written to it, and what was seen there.

/** What a URL holds: a body of this digest, or nothing (404). */
export type State = string | undefined;

/** What a list shows of a register: that it holds something, not what. */
export const something = Symbol('something');

/** A request that set the register, if it was done. */
export interface Write {
  readonly state: State;
  readonly begin: number;
  /** When it was answered; `Infinity`: it never was, so it may be done at any time after its begin, or not at all. */
  readonly end: number;
  /** It was done, so that whatever is older is past once it has ended. */
  readonly done: boolean;
}

export interface Read {
  readonly saw: State | typeof something;
  readonly begin: number;
  readonly end: number;
}

/** Before the first request there is nothing. */
const initial: Write = { state: undefined, begin: -Infinity, end: -Infinity, done: true };

/**
 * The reads that a register cannot have answered: what they saw was never written, or was replaced for certain before they
 * began. A write that nobody answered explains what was seen, and replaces nothing unless it was itself seen.
 */
export function findImpossible<R extends Read>(requests: readonly Write[], reads: readonly R[]): R[] {
  const writes = [initial, ...requests.map((write) => settle(write, requests, reads))];
  return reads.filter((read) => {
    const explains = (write: Write) =>
      (read.saw === something ? write.state !== undefined : write.state === read.saw) &&
      write.begin < read.end &&
      !writes.some((later) => later.done && later.begin > write.end && later.end < read.begin);
    return !writes.some(explains);
  });
}

/** What was seen was done by then, whether or not it was answered. */
function settle(write: Write, writes: readonly Write[], reads: readonly Read[]): Write {
  if (write.state === undefined || writes.some((other) => other !== write && other.state === write.state)) {
    return write;
  }
  const seen = reads.filter(({ saw }) => saw === write.state).map(({ end }) => end);
  return seen.length === 0 ? write : { ...write, done: true, end: Math.min(write.end, ...seen) };
}
