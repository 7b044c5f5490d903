// Last pulls of manifests, recorded in memory and written once a minute.
import { type Database, ReadOnlyRegistry } from '../db/database.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { addPulls, type ChildPull, findOwnPulls, listChildPulls } from '../db/pulls.ts';
import { sliceSize } from '../db/slices.ts';
import { manifestKind } from '../oci/media-types.ts';

export interface PullsParts {
  /** Must refuse writes while the registry is read-only; pulls are then kept in memory. */
  readonly database: Database;
  /** Called once for each outage when pulls could not be written; they are kept and written later. */
  readonly failed: (error: unknown) => void;
  /** Called with the number of pulls that were not recorded because too many manifests were waiting, or at the end. */
  readonly lost: (pulls: number) => void;
  /** Milliseconds between two writes. */
  readonly every?: number;
  /** Manifests that wait in memory, at most. */
  readonly capacity?: number;
}

/** Manifests of one transaction. */
const batchSize = 500;

/** Counts the pulls of this process. */
export class Pulls {
  readonly #parts: PullsParts;
  readonly #capacity: number;
  readonly #timer: NodeJS.Timeout;
  /** By row id of the manifest. The time is that of the write, so that a pull costs nothing but this. */
  #waiting = new Map<number, number>();
  #lost = 0;
  #writing: Promise<void> | undefined;
  #failing = false;

  constructor(parts: PullsParts) {
    this.#parts = parts;
    this.#capacity = parts.capacity ?? 100_000;
    this.#timer = setInterval(() => void this.flush(), parts.every ?? 60_000).unref();
  }

  /** Records a pull of a manifest, by row id. Does not throw; returns before the pull is written. */
  record(manifest: number): void {
    this.#add(manifest, 1);
  }

  /** Resolves when the pulls recorded so far are written, or the write has failed. */
  async flush(): Promise<void> {
    // A running write may not include the latest pull.
    await this.#writing;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  /** Writes the waiting pulls, and reports the number of those that it could not write to `lost`. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    for (const count of this.#waiting.values()) this.#lost += count;
    this.#waiting.clear();
    this.#reportLost();
  }

  #add(manifest: number, count: number): void {
    const before = this.#waiting.get(manifest);
    if (before === undefined && this.#waiting.size >= this.#capacity) this.#lost += count;
    else this.#waiting.set(manifest, (before ?? 0) + count);
  }

  async #write(): Promise<void> {
    const { database, failed } = this.#parts;
    const pulls = [...this.#waiting];
    this.#waiting = new Map();
    for (let start = 0; start < pulls.length; start += batchSize) {
      const batch = pulls.slice(start, start + batchSize);
      try {
        await database.transaction((db) => addPulls(db, batch, database.clock()), { durable: false });
        this.#failing = false;
      } catch (error) {
        for (const [manifest, count] of pulls.slice(start)) this.#add(manifest, count);
        if (!this.#failing && !(error instanceof ReadOnlyRegistry)) failed(error);
        this.#failing = true;
        break;
      }
    }
    this.#reportLost();
  }

  #reportLost(): void {
    if (this.#lost > 0) this.#parts.lost(this.#lost);
    this.#lost = 0;
  }
}

/** A manifest by row id and media type. */
interface Pulled {
  readonly id: number;
  readonly media_type: string;
}

/**
 * When these manifests were last pulled, in milliseconds since 1970, by row id; absent: never since pulls are recorded. The pull of a
 * child counts for its index, because clients pull the index only to choose a child, or have it already.
 * @param pause yields to the event loop; `nextTurnInTransaction` in a transaction
 */
export async function lastPulls(
  db: Db,
  manifests: readonly Pulled[],
  pause: () => Promise<void> = nextTurn,
): Promise<Map<number, number>> {
  const last = await findOwnPulls(
    db,
    manifests.map(({ id }) => id),
  );
  const indexes = manifests.filter(({ media_type }) => manifestKind(media_type) === 'index');
  const ids = [...new Set(indexes.map(({ id }) => id))].sort((a, b) => a - b);
  let after: ChildPull | undefined;
  if (ids.length === 0) return last;
  do {
    const page: ChildPull[] = await listChildPulls(db, ids, after, sliceSize);
    for (const { manifest_id: id, pulled_at } of page) {
      if (pulled_at !== null && pulled_at > (last.get(id) ?? 0)) last.set(id, pulled_at);
    }
    after = page.length === sliceSize ? page.at(-1) : undefined;
    if (after !== undefined) await pause();
  } while (after !== undefined);
  return last;
}
