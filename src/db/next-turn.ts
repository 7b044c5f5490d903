// Long work is split into slices of some milliseconds. This scheduler runs one slice at a time, in order of request, so that slices
// of hundreds of requests do not make one iteration of the event loop seconds long.

/**
 * Iterations of the event loop without a slice, after each iteration with one. A listener accepts one new connection in each
 * iteration. With a slice in each, the last of hundreds of new connections would wait for hundreds of slices.
 */
const idleIterations = 4;

/** Slices of transactions have priority: all writers wait for them. */
const ofTransactions: (() => void)[] = [];
const others: (() => void)[] = [];
let running = false;
let idle = 0;

/**
 * Resolves when the next slice may run; rejects with the signal's reason if it is aborted by then.
 * @param signal aborted when the work is no longer needed
 */
export async function nextTurn(signal?: AbortSignal): Promise<void> {
  await enqueue(others);
  signal?.throwIfAborted();
}

/** {@link nextTurn} for a slice of a transaction, before all others. */
export function nextTurnInTransaction(): Promise<void> {
  return enqueue(ofTransactions);
}

function enqueue(queue: (() => void)[]): Promise<void> {
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
