// The history of one URL as that of a register: its writes and its reads.

/** What a URL holds: a body of this digest, or nothing (404). */
export type State = string | undefined;

/** What a list shows of a register: that it holds a value, but not which one. */
export const something = Symbol('something');

/** A request that sets the register, if it takes effect. */
export interface Write {
  readonly state: State;
  readonly begin: number;
  /** The time of its answer; `Infinity`: unanswered, so it may take effect at any time after its begin, or never. */
  readonly end: number;
  /** Whether it certainly took effect, so that older values are gone after its end. */
  readonly done: boolean;
}

export interface Read {
  readonly saw: State | typeof something;
  readonly begin: number;
  readonly end: number;
}

/** Before the first request the register holds nothing. */
const initial: Write = { state: undefined, begin: -Infinity, end: -Infinity, done: true };

/**
 * The reads that are impossible for a register: the value was never written, or was certainly replaced before the read began. An
 * unanswered write explains a read of its value, but replaces older values only if its own value was read.
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

/** A write whose value was read took effect before the end of that read, answered or not. */
function settle(write: Write, writes: readonly Write[], reads: readonly Read[]): Write {
  if (write.state === undefined || writes.some((other) => other !== write && other.state === write.state)) {
    return write;
  }
  const seen = reads.filter(({ saw }) => saw === write.state).map(({ end }) => end);
  return seen.length === 0 ? write : { ...write, done: true, end: Math.min(write.end, ...seen) };
}
