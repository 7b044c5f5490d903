// Password hashes share four threads with file reads. So one hash runs at a time, few wait, and none waits long.
import { RegistryError } from '../../oci/errors.ts';

export interface HashQueueLimits {
  readonly atOnce?: number;
  /** Maximum number of waiting jobs. */
  readonly waiting?: number;
  /** Milliseconds. */
  readonly longestWait?: number;
}

interface Job {
  readonly run: () => void;
  readonly refuse: () => void;
}

/** Runs jobs of different addresses in turn, so that an address with many jobs delays only its own. */
export class HashQueue {
  readonly #atOnce: number;
  readonly #limit: number;
  readonly #longestWait: number;
  /** Queues by address, in the order of their next turn; none is empty. */
  readonly #queues = new Map<string, Job[]>();
  #running = 0;
  #waiting = 0;

  constructor({ atOnce = 1, waiting = 64, longestWait = 10_000 }: HashQueueLimits = {}) {
    this.#atOnce = atOnce;
    this.#limit = waiting;
    this.#longestWait = longestWait;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Runs `work` in its turn.
   * @throws RegistryError `UNAVAILABLE` after the longest wait or if too many jobs wait; errors of `work`
   */
  async run<T>(address: string, work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnce) this.#running += 1;
    else await this.#waitForTurn(address);
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #waitForTurn(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting >= this.#limit && !this.#makeRoom(address)) return reject(this.#refusal());
      const timer = setTimeout(() => {
        this.#remove(address, job);
        reject(this.#refusal());
      }, this.#longestWait);
      const job: Job = {
        run: () => {
          clearTimeout(timer);
          resolve();
        },
        refuse: () => {
          clearTimeout(timer);
          reject(this.#refusal());
        },
      };
      const queue = this.#queues.get(address);
      if (queue) queue.push(job);
      else this.#queues.set(address, [job]);
      this.#waiting += 1;
    });
  }

  #next(): void {
    const [first] = this.#queues;
    if (first === undefined) {
      this.#running -= 1;
      return;
    }
    const [address, queue] = first;
    const job = queue.shift() as Job;
    this.#waiting -= 1;
    this.#queues.delete(address);
    if (queue.length > 0) this.#queues.set(address, queue);
    job.run();
  }

  /** Refuses the last job of the longest queue, unless the new job's own queue would then be as long. */
  #makeRoom(address: string): boolean {
    const own = this.#queues.get(address)?.length ?? 0;
    let longest: [address: string, queue: Job[]] | undefined;
    for (const entry of this.#queues) if (entry[1].length > (longest?.[1].length ?? 0)) longest = entry;
    if (longest === undefined || longest[1].length <= own + 1) return false;
    const last = longest[1].at(-1) as Job;
    this.#remove(longest[0], last);
    last.refuse();
    return true;
  }

  #remove(address: string, job: Job): void {
    const queue = this.#queues.get(address) as Job[];
    queue.splice(queue.indexOf(job), 1);
    if (queue.length === 0) this.#queues.delete(address);
    this.#waiting -= 1;
  }

  #refusal(): RegistryError {
    const retryAfter = Math.ceil(this.#longestWait / 1000);
    return new RegistryError('UNAVAILABLE', 'too many logins at once', { retryAfter });
  }
}
