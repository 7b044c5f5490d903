// Work that is long is cut into slices of some milliseconds. This lets one slice run at a time, in the order in which they were asked
// for, so that hundreds of requests with slices do not make one iteration of the event loop seconds long.

/**
 * Iterations of the event loop in which no slice runs, after each that has one. In an iteration the system hands over one new connection
 * of a listener and no more: where each had a slice, a connection behind hundreds of others would wait for as many slices.
 */
const idleIterations = 4;

/** Those of transactions go first: everybody who writes waits for them. */
const ofTransactions: (() => void)[] = [];
const others: (() => void)[] = [];
let running = false;
let idle = 0;

/**
 * Resolves when the next slice may run; rejects with the signal's reason when it is not wanted any more by then.
 * @param signal aborted when nobody waits for the work any more
 */
export async function nextTurn(signal?: AbortSignal): Promise<void> {
  await joining(others);
  signal?.throwIfAborted();
}

/** The same for a slice of a transaction, before all that is none. */
export function nextTurnInTransaction(): Promise<void> {
  return joining(ofTransactions);
}

function joining(queue: (() => void)[]): Promise<void> {
  return new Promise((resolve) => {
    queue.push(resolve);
    if (running) return;
    running = true;
    setImmediate(iterate);
  });
}

function iterate(): void {
  if (idle > 0) {
    idle -= 1;
  } else {
    const next = ofTransactions.shift() ?? others.shift();
    if (next === undefined) {
      running = false;
      return;
    }
    idle = idleIterations;
    next();
  }
  setImmediate(iterate);
}
