import type { Steps } from '../oci/steps.ts';
import { nextTurn } from './next-turn.ts';

/** Milliseconds after which other requests have their turn. */
const maxTurn = 5;

/** Work that is cut into turns of the event loop. Whatever is waited for in between is none of it. */
export class Work {
  #spent = 0;
  #start = performance.now();

  /** Milliseconds of this turn. */
  get #turn(): number {
    return performance.now() - this.#start;
  }

  /** Milliseconds of work so far. */
  get spent(): number {
    return this.#spent + this.#turn;
  }

  get turnIsOver(): boolean {
    return this.#turn > maxTurn;
  }

  /** Lets the others have their turn. @throws the signal's reason, see `nextTurn` */
  pause(signal?: AbortSignal): Promise<void> {
    return this.wait(nextTurn(signal));
  }

  async wait<T>(promise: Promise<T>): Promise<T> {
    this.#spent += this.#turn;
    try {
      return await promise;
    } finally {
      this.#start = performance.now();
    }
  }
}

/** Does the steps over as many turns of the event loop as they take. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  const work = new Work();
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (work.turnIsOver) await work.pause();
  }
}
