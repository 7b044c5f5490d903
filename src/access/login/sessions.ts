// Browsers that are signed on: each holds a secret of its own, of which only the hash is kept.
import { createHash, randomBytes } from 'node:crypto';
import type { Database } from '../../db/database.ts';
import type { Db } from '../../db/prepare.ts';
import {
  deleteExpiredSessions,
  deleteSession,
  findSession,
  insertSession,
  type Session,
} from '../../db/sessions.ts';
import { findUserById } from '../../db/users.ts';
import { earlier, endOf, isInForce, originOf, type SignInProof } from '../origin.ts';
import { isSameSecret } from '../secrets.ts';

/** Milliseconds. */
const sessionLifetime = 12 * 3_600_000;

const secretForm = /^[\w-]{43}$/;

export interface SessionsParts {
  readonly database: Database;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Whether passwords are accepted at all: where they are not, a session that one began has ended. */
  readonly passwordLogin: boolean;
}

export class Sessions {
  readonly #parts: SessionsParts;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /**
   * Begins a session of the account's.
   *
   * @returns the secret that the browser has to show from now on, and for how many milliseconds at most
   * @throws Refused when the access token that was shown is revoked by now, or is good for some repositories alone
   */
  async begin(account: number, proof: SignInProof): Promise<{ secret: string; lifetime: number }> {
    const { database, clock } = this.#parts;
    const secret = randomBytes(32).toString('base64url');
    const now = clock();
    const expiresAt = await database.transaction(async (db) => {
      const origin = await originOf(db, proof);
      const expiresAt = earlier(now + sessionLifetime, await endOf(db, origin)) as number;
      const user = await findUserById(db, account);
      // A new password is set at a later time than the one before, even where that is not the clock's.
      const createdAt = Math.max(now, user?.passwordChangedAt ?? 0);
      await insertSession(db, { ...origin, hash: hashOf(secret), account, createdAt, expiresAt });
      return expiresAt;
    });
    return { secret, lifetime: expiresAt - now };
  }

  /**
   * The session of whoever shows the secret, while it is in force.
   *
   * @param db the transaction whose change only a session in force may make
   */
  async find(secret: string | undefined, db: Db = this.#parts.database.read): Promise<Session | undefined> {
    if (secret === undefined || !secretForm.test(secret)) return undefined;
    const { clock, passwordLogin } = this.#parts;
    const session = await findSession(db, hashOf(secret));
    return session && isInForce(session, { now: clock(), passwordLogin }) ? session : undefined;
  }

  async end(secret: string): Promise<void> {
    await this.#parts.database.transaction((db) => deleteSession(db, hashOf(secret)));
  }

  /** How many had ended. */
  removeExpired(): Promise<number> {
    const { database, clock } = this.#parts;
    return database.transaction((db) => deleteExpiredSessions(db, clock()), { durable: false });
  }
}

/** What a form of the session's pages has to send: another site can send a form too, but does not know this. */
export function formToken(secret: string): string {
  return createHash('sha256').update(`form ${secret}`).digest('base64url');
}

export function isFormToken(secret: string, given: unknown): boolean {
  return typeof given === 'string' && isSameSecret(formToken(secret), given);
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
