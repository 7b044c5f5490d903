import { createHash } from 'node:crypto';
import type { Database } from '../db/database.ts';
import { countPull, findPullCount } from '../db/pull-counts.ts';
import { type Principal, principalKey } from './identity.ts';
import { limitSubject } from './limit-subject.ts';
import { networkOf } from './network-of.ts';

export interface PullLimitsParts {
  /** Has to accept writes while the registry is read-only, because counting continues then. */
  readonly database: Database;
  /** Milliseconds. */
  readonly window: number;
  readonly perAddress: number | undefined;
  readonly perUser: number | undefined;
  /** Called when a pull could not be counted; the pull is allowed. */
  readonly uncounted: (error: unknown) => void;
}

/** The pull limit of one subject in the current window. */
export interface PullLimit {
  /** Subject of the limit: a user's name, or the network of an address. */
  readonly source: string;
  readonly limit: number;
  /** Seconds. */
  readonly window: number;
  /** Seconds until the next window begins. */
  readonly retryAfter: number;
  /** Counts a pull and gives the number left, or `undefined` if none was left. */
  take(): Promise<number | undefined>;
  left(): Promise<number>;
}

/**
 * Limits the manifests that an account, or the network of anonymous callers, may pull in a window of time. The counts are in the
 * database, and include the pulls from all replicas. Robots and jobs are limited like users.
 */
export class PullLimits {
  readonly #parts: PullLimitsParts;

  constructor(parts: PullLimitsParts) {
    this.#parts = parts;
  }

  /** `undefined`: no limit. */
  of(principal: Principal, address: string): PullLimit | undefined {
    const { database, window, perAddress, perUser, uncounted } = this.#parts;
    const isAnonymous = principal.kind === 'anonymous';
    const limit = isAnonymous ? perAddress : perUser;
    if (limit === undefined) return undefined;
    const network = networkOf(address);
    const subject = limitSubject(principalKey(principal), address);
    const now = database.clock();
    const start = startOf(subject, now, window);
    return {
      source: isAnonymous ? network : principal.name,
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
          // A full disk must not stop pulls.
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

/** Windows begin at different times for different subjects, so that clients do not all retry at once. All replicas agree. */
function startOf(subject: string, now: number, window: number): number {
  const offset = createHash('sha256').update(subject).digest().readUInt32BE(0) % window;
  return now - ((now - offset) % window);
}
