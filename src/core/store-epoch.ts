import type { Database } from '../db/database.ts';
import { giveBackLease, takeLease } from '../db/leases.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Clock } from './clock.ts';
import { advanceEpoch, type Places, requireAgreement } from './store-identity.ts';

/** Milliseconds between two times that commits raise the epoch: what a copy of the database may be younger than, unnoticed. */
const usualPause = 10_000;
/** Milliseconds after which the epoch is another process's to raise; more than a bucket may take to answer. */
const lease = 120_000;
const leaseName = 'epoch';

export interface StoreEpochParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly places: Places;
  readonly clock: Clock;
  /** This process and no other, ever. */
  readonly holder: string;
  /** Told after each look: why nothing may be deleted, or `undefined` when database and store agree. */
  readonly looked: (problem: unknown) => void;
  readonly pause?: number;
}

/**
 * Raises the epoch (see `store-identity.ts`) soon after blobs came, before anything is deleted, and at the end. So a database that
 * does not know these blobs, or these deletions, is behind the store.
 */
export class StoreEpoch {
  readonly #parts: StoreEpochParts;
  readonly #pause: number;
  #running: Promise<number> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether a blob has come since the epoch was last raised. */
  #behind = false;

  constructor(parts: StoreEpochParts) {
    this.#parts = parts;
    this.#pause = parts.pause ?? usualPause;
  }

  /** The same store; what is committed to it raises the epoch. */
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
   * @return the epoch that database and store have now
   * @throws StoreDisagrees | StoreMismatch, or what database and store say
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
    const terms = { name: leaseName, holder, until: now + lease, now, restedSince: now };
    this.#behind = false;
    try {
      const mine = await database.transaction((db) => takeLease(db, terms), { durable: false });
      const epoch = mine
        ? await advanceEpoch(database, store, places).finally(() => this.#giveBack())
        : // Another process is at it.
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
      .transaction((db) => giveBackLease(db, { name: leaseName, holder, at: 0 }), { durable: false })
      .catch(() => {});
  }
}
