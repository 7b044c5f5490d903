import { createHash } from 'node:crypto';
import type { Database } from '../db/database.ts';
import { countPull, findPullCount } from '../db/pull-counts.ts';
import { type Principal, principalKey } from './identity.ts';
import { limitSubject } from './limit-subject.ts';
import { networkOf } from './network-of.ts';

export interface PullLimitsParts {
  /** One that may be written while the registry is read-only: a count is no part of it. */
  readonly database: Database;
  /** Milliseconds. */
  readonly window: number;
  readonly perAddress: number | undefined;
  readonly perUser: number | undefined;
  /** A pull could not be counted, and went through. */
  readonly uncounted: (error: unknown) => void;
}

/** What one subject may pull in the window of now. */
export interface PullLimit {
  /** Whose limit it is: a user's name, or the network of an address. */
  readonly source: string;
  readonly limit: number;
  /** Seconds. */
  readonly window: number;
  /** Seconds until the next window begins. */
  readonly retryAfter: number;
  /** Counts a pull; how many are left then, or `undefined`: none was. */
  take(): Promise<number | undefined>;
  left(): Promise<number>;
}

/**
 * How many manifests a user may pull in a window of time, and an address whose caller is nobody: counted in the database, for all
 * replicas together. Robots and jobs are users here.
 */
export class PullLimits {
  readonly #parts: PullLimitsParts;

  constructor(parts: PullLimitsParts) {
    this.#parts = parts;
  }

  /** `undefined` when they are not limited. */
  of(principal: Principal, address: string): PullLimit | undefined {
    const { database, window, perAddress, perUser, uncounted } = this.#parts;
    const isNobody = principal.kind === 'anonymous';
    const limit = isNobody ? perAddress : perUser;
    if (limit === undefined) return undefined;
    const network = networkOf(address);
    const subject = limitSubject(principalKey(principal), address);
    const now = database.clock();
    const start = startOf(subject, now, window);
    return {
      source: isNobody ? network : principal.name,
      limit,
      window: window / 1_000,
      retryAfter: Math.ceil((start + window - now) / 1_000),
      async take() {
        try {
          const count = await database.transaction((db) => countPull(db, { subject, start }, limit), {
            durable: false,
          });
          return count === undefined ? undefined : limit - count;
        } catch (error) {
          // A full disk is no reason to refuse pulls.
          uncounted(error);
          return limit;
        }
      },
      async left() {
        return Math.max(limit - (await findPullCount(database.read, { subject, start })), 0);
      },
    };
  }
}

/** Windows begin at another time for each subject, the same on every replica: not all clients come back at once. */
function startOf(subject: string, now: number, window: number): number {
  const offset = createHash('sha256').update(subject).digest().readUInt32BE(0) % window;
  return now - ((now - offset) % window);
}
