// Sessions of browsers. The browser has a secret; the database stores only its hash.
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
  /** Whether passwords are accepted (`access.passwordLogin`). If not, sessions that began with a password are invalid. */
  readonly passwordLogin: boolean;
}

export class Sessions {
  readonly #parts: SessionsParts;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /**
   * Begins a session of the account.
   * @returns the secret for the browser, and its maximum lifetime in milliseconds
   * @throws Refused if the access token used as proof has been revoked or has scopes
   */
  async begin(account: number, proof: SignInProof): Promise<{ secret: string; lifetime: number }> {
    const { database, clock } = this.#parts;
    const secret = randomBytes(32).toString('base64url');
    const now = clock();
    const expiresAt = await database.transaction(async (db) => {
      const origin = await originOf(db, proof);
      const expiresAt = earlier(now + sessionLifetime, await endOf(db, origin)) as number;
      const user = await findUserById(db, account);
      // A session is never older than its password, whose time may be ahead of the clock: each new password gets a later time.
      const createdAt = Math.max(now, user?.passwordChangedAt ?? 0);
      await insertSession(db, { ...origin, hash: hashOf(secret), account, createdAt, expiresAt });
      return expiresAt;
    });
    return { secret, lifetime: expiresAt - now };
  }

  /**
   * Finds the valid session of this secret.
   * @param db the transaction of a change that needs a valid session
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

  /** Gives the number removed. */
  removeExpired(): Promise<number> {
    const { database, clock } = this.#parts;
    return database.transaction((db) => deleteExpiredSessions(db, clock()), { durable: false });
  }
}

/** The token that forms of the session's pages have to send. Other sites can submit forms too, but do not know it. */
export function formToken(secret: string): string {
  return createHash('sha256').update(`form ${secret}`).digest('base64url');
}

export function isFormToken(secret: string, given: unknown): boolean {
  return typeof given === 'string' && isSameSecret(formToken(secret), given);
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
