// Browsers that are signed on: each holds a secret of its own, of which only the hash is kept.
import { createHash, randomBytes } from 'node:crypto';
import type { Database } from '../db/database.ts';
import {
  deleteExpiredSessions,
  deleteSession,
  findSession,
  insertSession,
  type Session,
} from '../db/sessions.ts';
import { isSameSecret } from './secrets.ts';

/** Milliseconds. */
export const sessionLifetime = 12 * 3_600_000;

const secretForm = /^[\w-]{43}$/;

export class Sessions {
  readonly #database: Database;
  readonly #clock: () => number;

  /** @param clock milliseconds since 1970 */
  constructor({ database, clock }: { readonly database: Database; readonly clock: () => number }) {
    this.#database = database;
    this.#clock = clock;
  }

  /**
   * What the browser has to show from now on.
   *
   * @param token the access token that stood in for the password; the session ends with it
   */
  async begin(account: number, token?: number): Promise<string> {
    const secret = randomBytes(32).toString('base64url');
    const now = this.#clock();
    const session = { hash: hashOf(secret), account, token, now, until: now + sessionLifetime };
    await this.#database.transaction((db) => insertSession(db, session));
    return secret;
  }

  /** Who shows the secret, if they still may. */
  async find(secret: string | undefined): Promise<Session | undefined> {
    if (secret === undefined || !secretForm.test(secret)) return undefined;
    return findSession(this.#database.read, hashOf(secret), this.#clock());
  }

  async end(secret: string): Promise<void> {
    await this.#database.transaction((db) => deleteSession(db, hashOf(secret)));
  }

  /** How many had ended. */
  removeExpired(): Promise<number> {
    return this.#database.transaction((db) => deleteExpiredSessions(db, this.#clock()), { durable: false });
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
