// The common parts of routes for browsers: base URL, session, and protection against forged forms.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestOrigin } from '../access/actor.ts';
import { signedOnIdentity } from '../access/identity.ts';
import { isFormToken, type Sessions } from '../access/login/sessions.ts';
import type { SignInProof } from '../access/origin.ts';
import { Refused } from '../access/refused.ts';
import type { Db } from '../db/prepare.ts';
import type { Session } from '../db/sessions.ts';
import { baseUrlOf, type ClientOf } from '../http/client.ts';
import { note } from '../http/observe.ts';
import { readCookie, setCookie } from './cookies.ts';

const sessionCookie = 'berth';

/** A form was not sent by a page of this origin in the current session. */
export class NotOurForm extends Error {
  override readonly name = 'NotOurForm';
}

/** A user who is signed in. */
export interface Visitor extends Session {
  /** The session secret in the browser's cookie. */
  readonly secret: string;
}

/**
 * Whether the user signed in with the password itself, and not with an access token. Only such a session may link an identity,
 * because the link outlives the session.
 */
export function isByPassword({ originPassword, originToken }: Visitor): boolean {
  return originPassword !== null && originToken === null;
}

export interface BrowserParts {
  readonly sessions: Sessions;
  readonly clientOf: ClientOf;
  readonly externalUrl: string | undefined;
}

export class Browser {
  readonly #parts: BrowserParts;

  constructor(parts: BrowserParts) {
    this.#parts = parts;
  }

  /** The registry's URL for this browser, without a slash at the end. @throws Refused */
  baseOf(request: FastifyRequest): string {
    const base = baseUrlOf(this.#parts.clientOf(request.raw), this.#parts.externalUrl);
    if (base === undefined) throw new Refused('the request has no valid Host header');
    return base;
  }

  isSecure(request: FastifyRequest): boolean {
    return this.baseOf(request).startsWith('https:');
  }

  addressOf(request: FastifyRequest): string {
    return this.#parts.clientOf(request.raw).address;
  }

  /** The request, as it is recorded with its changes. */
  requestOrigin(request: FastifyRequest): RequestOrigin {
    const { headers, id: requestId } = request;
    return { address: this.addressOf(request), client: headers['user-agent'], requestId };
  }

  async visitor(request: FastifyRequest): Promise<Visitor | undefined> {
    const secret = readCookie(request, sessionCookie, this.isSecure(request));
    const session = await this.#parts.sessions.find(secret);
    if (session === undefined) return undefined;
    note(request.raw, { identity: signedOnIdentity(session.account, session.name) });
    return { ...session, secret: secret as string };
  }

  /** Checks in the transaction of a visitor's change that their session has not ended. @throws NotOurForm */
  async requireSession(db: Db, { secret }: Visitor): Promise<void> {
    if ((await this.#parts.sessions.find(secret, db)) === undefined) {
      throw new NotOurForm('the session has ended; sign in again');
    }
  }

  /** Begins a new session, so that an old secret is never reused. @throws Refused when the proof is no longer valid */
  async signIn(
    request: FastifyRequest,
    reply: FastifyReply,
    account: number,
    proof: SignInProof,
  ): Promise<void> {
    const before = await this.visitor(request);
    if (before) await this.#parts.sessions.end(before.secret);
    const { secret, lifetime } = await this.#parts.sessions.begin(account, proof);
    this.#keep(request, reply, secret, Math.floor(lifetime / 1000));
  }

  async signOut(request: FastifyRequest, reply: FastifyReply, { secret }: Visitor): Promise<void> {
    await this.#parts.sessions.end(secret);
    this.#keep(request, reply, '', 0);
  }

  #keep(request: FastifyRequest, reply: FastifyReply, value: string, maxAge: number): void {
    setCookie(reply, { name: sessionCookie, value, maxAge, secure: this.isSecure(request) });
  }

  /** Returns the form if a page of this origin sent it. @throws NotOurForm */
  form(request: FastifyRequest): URLSearchParams {
    const { 'sec-fetch-site': site, origin } = request.headers;
    // Browsers send Sec-Fetch-Site over HTTPS only, and Origin with every form.
    const own = site === undefined ? origin === new URL(this.baseOf(request)).origin : site === 'same-origin';
    if (!own) throw new NotOurForm('the form was not sent by a page of this registry');
    return request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
  }

  /** Returns the form if a page of the current session sent it. @throws NotOurForm */
  async formOf(request: FastifyRequest): Promise<{ form: URLSearchParams; visitor: Visitor }> {
    const form = this.form(request);
    const visitor = await this.visitor(request);
    if (visitor === undefined || !isFormToken(visitor.secret, form.get('form'))) {
      throw new NotOurForm('the form belongs to another session, or to one that has ended');
    }
    return { form, visitor };
  }
}
