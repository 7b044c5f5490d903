// Authenticates credentials: a user name with an access token, a job's ID token, or a password.
import type { Database } from '../../db/database.ts';
import { findTokenLogin, noteTokenUse, type TokenLogin } from '../../db/logins.ts';
import { findHighestBcryptCost, findUser, replacePasswordHash, type User } from '../../db/users.ts';
import { RegistryError } from '../../oci/errors.ts';
import { asNamespace } from '../../oci/name.ts';
import type { Identity } from '../identity.ts';
import { networkOf } from '../network-of.ts';
import { isInForce } from '../origin.ts';
import { RateLimit } from '../rate-limit.ts';
import { secretKind } from '../secret-kind.ts';
import { keyedHash } from '../secrets.ts';
import { hashOf } from './access-token.ts';
import type { Credentials } from './basic.ts';
import { HashQueue } from './hash-queue.ts';
import { bcryptCost, hashPassword, needsRehash, verifyPassword } from './passwords.ts';
import { Remembered } from './remembered.ts';

/** Authenticates external jobs by ID tokens. */
export interface IdTokens {
  /** @throws RegistryError `UNAUTHORIZED`; `UNAVAILABLE` if the issuer's keys cannot be fetched (see the cause) */
  authenticate(organisation: string, idToken: string): Promise<Identity>;
}

export interface LoginsParts {
  readonly database: Database;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Whether passwords are accepted (`access.passwordLogin`). */
  readonly passwordLogin: boolean;
  /** Wrong passwords allowed from an address in a minute. */
  readonly perAddress: number;
  /** Wrong passwords allowed for an account in a minute. */
  readonly perAccount: number;
  /** Absent: ID tokens are not accepted. */
  readonly idTokens?: IdTokens | undefined;
  readonly queue?: HashQueue;
}

/** Milliseconds between two records of a token's use. */
const noteUsesEvery = 60_000;
const remembered = { keepFor: 60_000, capacity: 10_000 };
/** Longer than any account's name. */
const longestName = 300;

export class Logins {
  readonly #database: Database;
  readonly #clock: () => number;
  readonly #passwordLogin: boolean;
  readonly #idTokens: IdTokens | undefined;
  readonly #queue: HashQueue;
  readonly #byAddress: RateLimit;
  readonly #byAccount: RateLimit;
  /** Keyed hashes, each of a right password and the account's stored hash, so that none matches after a password change. */
  readonly #verified: Remembered;
  /** Running checks: the same password from the same network is checked once, however many requests send it at once. */
  readonly #checks = new Map<string, Promise<boolean>>();
  readonly #background = new Set<Promise<void>>();

  constructor(parts: LoginsParts) {
    const { database, clock, passwordLogin, perAddress, perAccount, idTokens, queue } = parts;
    this.#database = database;
    this.#clock = clock;
    this.#passwordLogin = passwordLogin;
    this.#idTokens = idTokens;
    this.#queue = queue ?? new HashQueue();
    this.#byAddress = new RateLimit({ perMinute: perAddress, clock });
    this.#byAccount = new RateLimit({ perMinute: perAccount, clock });
    this.#verified = new Remembered({ clock, ...remembered });
  }

  /**
   * Authenticates credentials from `address`.
   * @throws RegistryError `UNAUTHORIZED` if they are wrong, without the reason; `TOOMANYREQUESTS` with the seconds to wait after
   * too many wrong passwords; `UNAVAILABLE` when too many passwords wait to be checked, or the keys of an ID token's issuer
   * cannot be fetched
   */
  async authenticate({ username, password }: Credentials, address: string): Promise<Identity> {
    const kind = secretKind(password);
    if (kind === 'access token') return this.#byToken(username, password, address);
    if (kind === 'ID token' && this.#idTokens) return this.#idTokens.authenticate(username, password);
    return this.#byPassword(username, password, address);
  }

  /** Runs work that hashes a password, in the queue for such work. @throws RegistryError `UNAVAILABLE` */
  inTurn<T>(address: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(networkOf(address), work);
  }

  /** Resolves when the background work of answered logins is done. */
  async settled(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async #byToken(username: string, token: string, address: string): Promise<Identity> {
    const found = await findTokenLogin(this.#database.read, hashOf(token));
    const now = this.#clock();
    if (found === undefined || found.accountName !== username || !this.#isStillValid(found, now))
      throw wrong();
    if ((found.lastUsedAt ?? 0) <= now - noteUsesEvery) {
      this.#inBackground(async () => {
        const use = { at: now, from: address };
        const options = { durable: false };
        await this.#database.transaction(
          (db) => noteTokenUse(db, found.id, use, now - noteUsesEvery),
          options,
        );
      });
    }
    const kind = found.kind === 'robot' ? 'robot' : 'user';
    return {
      principal: { kind, id: found.accountId, name: found.accountName },
      credential: { kind: 'token', id: found.id },
    };
  }

  #isStillValid(token: TokenLogin, now: number): boolean {
    return (
      token.accountDisabledAt === null &&
      token.ownerDisabledAt === null &&
      token.kind !== 'organisation' &&
      isInForce(token, { now, passwordLogin: this.#passwordLogin })
    );
  }

  async #byPassword(username: string, password: string, address: string): Promise<Identity> {
    const name = asNamespace(username);
    const found = name && (await findUser(this.#database.read, name));
    const enabledUser = found?.disabledAt === null ? found : undefined;
    const user = await this.#check(username, enabledUser, password, networkOf(address));
    if (user === undefined) throw wrong();
    if (!this.#passwordLogin) throw wrong('passwords are not accepted: log in with an access token');
    if (user.tokenOnly) throw wrong('this user has to log in with an access token, not with the password');
    return {
      principal: { kind: 'user', id: user.id, name: user.name },
      credential: { kind: 'password', since: user.passwordChangedAt },
    };
  }

  /** Gives the user if the password is right. Does the same work for an unknown user or one without a password. */
  async #check(
    username: string,
    user: User | undefined,
    password: string,
    network: string,
  ): Promise<User | undefined> {
    const hash = user?.password ?? undefined;
    const key = keyedHash(JSON.stringify([user?.id ?? username, hash, password])).toString('base64');
    if (this.#verified.has(key)) return user;
    const account = username.slice(0, longestName);
    this.#refuseAfterFailures(network, account);
    const check = `${network} ${key}`;
    let running = this.#checks.get(check);
    if (running === undefined) {
      running = this.#queue
        .run(network, async () => {
          // Other checks for the network or the account may have failed in the meantime.
          this.#refuseAfterFailures(network, account);
          const highestCost = bcryptCost(await findHighestBcryptCost(this.#database.read));
          const right = await verifyPassword(password, hash, highestCost);
          if (right) {
            this.#verified.add(key);
          } else {
            this.#byAddress.count(network);
            this.#byAccount.count(account);
          }
          return right;
        })
        .finally(() => this.#checks.delete(check));
      this.#checks.set(check, running);
      if (user?.password && needsRehash(user.password)) {
        this.#rehash(user.id, user.password, password, running);
      }
    }
    return (await running) ? user : undefined;
  }

  #refuseAfterFailures(network: string, account: string): void {
    const retryAfter = Math.max(this.#byAddress.wait(network), this.#byAccount.wait(account));
    if (retryAfter > 0)
      throw new RegistryError('TOOMANYREQUESTS', 'too many wrong passwords', { retryAfter });
  }

  /**
   * Replaces an outdated hash of a right password. The password counts as unchanged, so that its sessions and tokens stay valid.
   */
  #rehash(id: number, hash: string, password: string, check: Promise<boolean>): void {
    this.#inBackground(async () => {
      if (!(await check)) return;
      const better = await this.#queue.run(`rehash ${id}`, () => hashPassword(password));
      await this.#database.transaction((db) => replacePasswordHash(db, id, hash, better));
    });
  }

  /** Runs work in the background of a login. If it fails, the login still succeeds, and the next login repeats the work. */
  #inBackground(work: () => Promise<void>): void {
    const done = work()
      .catch(() => {})
      .finally(() => this.#background.delete(done));
    this.#background.add(done);
  }
}

function wrong(detail?: string): RegistryError {
  return new RegistryError('UNAUTHORIZED', detail);
}
