import type { Steps } from '../oci/steps.ts';
import { nextTurn } from './next-turn.ts';

/** Milliseconds after which work yields to the event loop. */
const maxTurn = 5;

/** Measures work that is split into turns of the event loop, without the waits in between. */
export class Work {
  #spent = 0;
  #start = performance.now();

  /** Milliseconds spent in this turn. */
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

  /** Yields to the event loop. @throws the signal's reason, see `nextTurn` */
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

/** Runs the steps, yielding to the event loop when a turn is over. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  const work = new Work();
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (work.turnIsOver) await work.pause();
  }
}
