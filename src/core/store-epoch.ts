import type { Database } from '../db/database.ts';
import { releaseLease, takeLease } from '../db/leases.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Clock } from './clock.ts';
import { advanceEpoch, type Places, requireAgreement } from './store-identity.ts';

/** Milliseconds between two raises of the epoch after commits. A database copy that is older by less than this is not detected. */
const defaultPause = 10_000;
/** Milliseconds after which another process may raise the epoch; longer than the slowest answer of a bucket. */
const lease = 120_000;
const leaseName = 'epoch';

export interface StoreEpochParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly places: Places;
  readonly clock: Clock;
  /** Unique to this process. */
  readonly holder: string;
  /** Called after each check with the reason why nothing may be deleted; `undefined` if database and store agree. */
  readonly checked: (problem: unknown) => void;
  readonly pause?: number;
}

/**
 * Raises the epoch (see `store-identity.ts`) soon after commits of blobs, before deletions, and at shutdown. So an older copy of
 * the database, without the rows of these commits and deletions, has a lower epoch than the store.
 */
export class StoreEpoch {
  readonly #parts: StoreEpochParts;
  readonly #pause: number;
  #running: Promise<number> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether a blob was committed since the epoch was last raised. */
  #isDue = false;

  constructor(parts: StoreEpochParts) {
    this.#parts = parts;
    this.#pause = parts.pause ?? defaultPause;
  }

  /** Returns the store with commits that raise the epoch. */
  wrap(store: BlobStore): BlobStore {
    return {
      ...store,
      commit: async (upload, key) => {
        await store.commit(upload, key);
        this.#committed();
      },
    };
  }

  /**
   * @return the epoch of database and store
   * @throws StoreDisagrees | StoreMismatch, or errors of database and store
   */
  advance(): Promise<number> {
    this.#running ??= this.#advance().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running?.catch(() => {});
    if (this.#isDue) await this.advance().catch(() => {});
    clearTimeout(this.#timer);
  }

  #committed(): void {
    this.#isDue = true;
    if (this.#timer !== undefined) return;
    const again = (): void => {
      this.#timer = undefined;
      if (this.#isDue) this.#committed();
    };
    this.#timer = setTimeout(again, this.#pause).unref();
    this.advance().catch(() => {});
  }

  async #advance(): Promise<number> {
    const { database, store, places, clock, holder, checked } = this.#parts;
    const now = clock();
    const terms = { name: leaseName, holder, until: now + lease, now, releasedBefore: now };
    this.#isDue = false;
    try {
      const isTaken = await database.transaction((db) => takeLease(db, terms), { durable: false });
      const epoch = isTaken
        ? await advanceEpoch(database, store, places).finally(() => this.#giveBack())
        : // Another process is raising it.
          (await requireAgreement(database, store, places)).epoch;
      checked(undefined);
      return epoch;
    } catch (error) {
      this.#isDue = true;
      checked(error);
      throw error;
    }
  }

  async #giveBack(): Promise<void> {
    const { database, holder } = this.#parts;
    await database
      .transaction((db) => releaseLease(db, { name: leaseName, holder, at: 0 }), { durable: false })
      .catch(() => {});
  }
}
