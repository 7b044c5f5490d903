import type { Database } from '../db/database.ts';
import { releaseLease, takeLease } from '../db/leases.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Clock } from './clock.ts';
import { advanceEpoch, type Places, requireAgreement } from './store-identity.ts';

/** Milliseconds between two rises of the epoch by commits: a copy of the database younger than this goes unnoticed. */
const usualPause = 10_000;
/** Milliseconds after which another process may raise the epoch; more than a bucket may take to answer. */
const lease = 120_000;
const leaseName = 'epoch';

export interface StoreEpochParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly places: Places;
  readonly clock: Clock;
  /** Unique to this process. */
  readonly holder: string;
  /** Called after each check: why nothing may be deleted, or `undefined` if database and store agree. */
  readonly looked: (problem: unknown) => void;
  readonly pause?: number;
}

/**
 * Raises the epoch (see `store-identity.ts`) soon after blobs were committed, before anything is deleted, and at the end. So a
 * database that does not know these blobs or deletions is behind the store.
 */
export class StoreEpoch {
  readonly #parts: StoreEpochParts;
  readonly #pause: number;
  #running: Promise<number> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether a blob was committed since the epoch was last raised. */
  #behind = false;

  constructor(parts: StoreEpochParts) {
    this.#parts = parts;
    this.#pause = parts.pause ?? usualPause;
  }

  /** Wraps the store, so that commits raise the epoch. */
  watch(store: BlobStore): BlobStore {
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
    if (this.#behind) await this.advance().catch(() => {});
    clearTimeout(this.#timer);
  }

  #committed(): void {
    this.#behind = true;
    if (this.#timer !== undefined) return;
    const again = (): void => {
      this.#timer = undefined;
      if (this.#behind) this.#committed();
    };
    this.#timer = setTimeout(again, this.#pause).unref();
    this.advance().catch(() => {});
  }

  async #advance(): Promise<number> {
    const { database, store, places, clock, holder, looked } = this.#parts;
    const now = clock();
    const terms = { name: leaseName, holder, until: now + lease, now, releasedBefore: now };
    this.#behind = false;
    try {
      const mine = await database.transaction((db) => takeLease(db, terms), { durable: false });
      const epoch = mine
        ? await advanceEpoch(database, store, places).finally(() => this.#giveBack())
        : // Another process is raising it.
          (await requireAgreement(database, store, places)).epoch;
      looked(undefined);
      return epoch;
    } catch (error) {
      this.#behind = true;
      looked(error);
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
