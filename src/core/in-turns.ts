import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Steps } from '../oci/steps.ts';

/** Milliseconds after which other requests have their turn. */
const maxTurn = 5;

/** Does the steps over as many turns of the event loop as they take. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  for (let start = performance.now(); ; ) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() - start > maxTurn) {
      await nextTurn();
      start = performance.now();
    }
  }
}
