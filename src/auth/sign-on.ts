// The pages to sign in, with the sign-on provider or a password, and to sign out.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { actorOf } from '../access/actor.ts';
import { loadEntitlements } from '../access/entitlements.ts';
import { anonymousIdentity, claimantOf, type Identity, signedOnIdentity } from '../access/identity.ts';
import type { Credentials } from '../access/login/basic.ts';
import { formToken, isFormToken } from '../access/login/sessions.ts';
import { Refused } from '../access/refused.ts';
import { actAs } from '../administration/change.ts';
import { linkIdentity } from '../administration/identities.ts';
import { type Person, signOn } from '../administration/sign-on.ts';
import type { Audit } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Database } from '../db/database.ts';
import { retryAfterOf, statusOf } from '../http/error-status.ts';
import { note } from '../http/observe.ts';
import { type ErrorCode, RegistryError } from '../oci/errors.ts';
import type { Attempts } from './attempts.ts';
import { type Browser, isByPassword, NotOurForm, type Visitor } from './browser.ts';
import { html } from './html.ts';
import { sendMessage, sendPage } from './page.ts';
import type { Provider } from './provider.ts';
import { NoAttempt, NotSignedOn, ProviderUnavailable } from './provider-errors.ts';
import { accountPath, linkPath, returnPath } from './return-path.ts';

export interface SignOnParts {
  readonly database: Database;
  readonly browser: Browser;
  readonly clock: () => number;
  /** Absent: no single sign-on. */
  readonly provider: Provider | undefined;
  readonly attempts: Attempts;
  readonly administratorsGroup: string | undefined;
  readonly logins: { authenticate(credentials: Credentials, address: string): Promise<Identity> };
  readonly audit: Pick<Audit, 'record'>;
  /** Whether users may sign in with passwords and access tokens. */
  readonly passwords: boolean;
}

type Query = { Querystring: { to?: unknown } };

export function addSignOn(http: FastifyInstance, parts: SignOnParts): void {
  const { browser, provider, attempts, passwords } = parts;

  http.get<Query>('/auth/sign-in', async (request, reply) => {
    const to = returnPath(request.query.to);
    if ((await browser.visitor(request)) !== undefined) return reply.redirect(to, 303);
    if (provider && !passwords) return begin(request, reply, provider, to);
    return sendSignIn(reply, to);
  });

  http.post('/auth/sign-in', async (request, reply) => {
    const form = browser.form(request);
    if (!passwords) throw new Refused('password sign-in is disabled on this registry');
    const to = returnPath(form.get('to') ?? undefined);
    const credentials = { username: form.get('username') ?? '', password: form.get('password') ?? '' };
    const event = { action: 'login', address: browser.addressOf(request), requestId: request.id } as const;
    try {
      const { principal, credential } = await authenticate(credentials, event.address);
      parts.audit.record({ ...event, allowed: true, identity: { principal, credential } });
      note(request.raw, { identity: { principal, credential } });
      await browser.signIn(request, reply, principal.id, credential);
      return reply.redirect(to, 303);
    } catch (error) {
      const answer = explain(error);
      if (answer === undefined) throw error;
      const { code } = error as RegistryError;
      parts.audit.record({
        ...event,
        allowed: false,
        identity: claimantOf(credentials.username),
        error: code,
      });
      if (answer.retryAfter !== undefined) reply.header('retry-after', answer.retryAfter);
      return sendSignIn(reply, to, answer);
    }
  });

  /** Accepts only users with all their rights: a token with scopes must not create tokens without scopes. */
  async function authenticate(credentials: Credentials, address: string) {
    const { principal, credential } = await parts.logins.authenticate(credentials, address);
    const isPerson = principal.kind === 'user';
    if (!isPerson || (credential.kind !== 'password' && credential.kind !== 'token')) {
      throw new RegistryError('UNAUTHORIZED', 'only users can sign in here');
    }
    const moment = { now: parts.clock(), passwordLogin: passwords };
    const entitlements = await loadEntitlements(parts.database.read, { principal, credential }, moment);
    if (entitlements === undefined || entitlements.scopes !== undefined) {
      throw new RegistryError('UNAUTHORIZED', 'an access token with scopes cannot sign in here');
    }
    return { principal, credential };
  }

  function sendSignIn(
    reply: FastifyReply,
    to: string,
    problem?: { status: number; text: string },
  ): FastifyReply {
    return sendPage(reply, {
      status: problem?.status ?? 200,
      title: 'Sign in',
      body: html`${provider && providerLink(to)}
${passwords && passwordForm(to, problem?.text)}
${!provider && !passwords && html`<section><p>Sign-in is disabled: this registry has neither single sign-on nor password login.</p></section>`}`,
    });
  }

  http.post('/auth/sign-out', async (request, reply) => {
    const { visitor } = await browser.formOf(request);
    await browser.signOut(request, reply, visitor);
    return sendMessage(reply, {
      status: 200,
      title: 'Signed out',
      text: 'You are signed out of Berth.',
    });
  });

  if (provider === undefined) return;

  http.get<Query>('/auth/sign-in/provider', (request, reply) =>
    begin(request, reply, provider, returnPath(request.query.to)),
  );

  async function begin(
    request: FastifyRequest,
    reply: FastifyReply,
    provider: Provider,
    to: string,
  ): Promise<FastifyReply> {
    const { url, attempt } = await provider.begin(`${browser.baseOf(request)}/auth/callback`);
    await attempts.keep(reply, { ...attempt, to }, browser.isSecure(request));
    return reply.header('cache-control', 'no-store').redirect(url, 303);
  }

  http.post(linkPath, async (request, reply) => {
    const { visitor } = await browser.formOf(request);
    if (!isByPassword(visitor)) throw new Refused(`sign in with your password to link single sign-on`);
    const { url, attempt } = await provider.begin(`${browser.baseOf(request)}/auth/callback`);
    const kept = { ...attempt, to: accountPath, link: formToken(visitor.secret) };
    await attempts.keep(reply, kept, browser.isSecure(request));
    // Not a redirect: browsers apply the page's form-action policy to redirects of a form.
    return sendPage(reply.header('refresh', `0; url=${url}`), {
      status: 200,
      title: 'Link single sign-on',
      body: html`<section><a class="button main" href="${url}">Continue to single sign-on</a></section>`,
    });
  });

  http.get('/auth/callback', async (request, reply) => {
    const address = browser.addressOf(request);
    let event: Refusal = {
      action: 'login',
      identity: anonymousIdentity,
      detail: { issuer: provider.issuer },
    };
    try {
      const attempt = await attempts.take(request, reply, browser.isSecure(request));
      const visitor = attempt.link === undefined ? undefined : await linkingVisitor(request, attempt.link);
      if (visitor !== undefined) {
        event = { ...event, action: 'user.link', identity: signedOnIdentity(visitor.account, visitor.name) };
      }
      const url = new URL(browser.baseOf(request) + request.url);
      const person = await attempts.finish(address, () => provider.finish(url, attempt));
      if (visitor !== undefined) {
        await link(request, visitor, person);
      } else {
        event = { ...event, identity: claimantOf(person.subject) };
        await signInPerson(request, reply, person);
      }
      return reply.header('cache-control', 'no-store').redirect(returnPath(attempt.to), 303);
    } catch (thrown) {
      const error = refusalCode(thrown);
      if (error !== undefined) {
        parts.audit.record({ ...event, allowed: false, address, requestId: request.id, error });
      }
      throw thrown;
    }
  });

  /** Signs in a user that the provider has authenticated. @throws Refused */
  async function signInPerson(request: FastifyRequest, reply: FastifyReply, person: Person): Promise<void> {
    const { administratorsGroup } = parts;
    const options = { administratorsGroup, passwordLogin: passwords };
    const { account, name, identity, keptAdministrator } = await signOn(
      parts.database,
      person,
      browser.requestOrigin(request),
      options,
    );
    if (keptAdministrator) {
      request.log.warn(
        { user: name, administratorsGroup },
        'the last administrator left the administrators group and stays administrator',
      );
    }
    const user = signedOnIdentity(account, name);
    note(request.raw, { identity: user });
    parts.audit.record({
      action: 'login',
      allowed: true,
      identity: user,
      address: browser.addressOf(request),
      requestId: request.id,
      detail: { issuer: person.issuer },
    });
    await browser.signIn(request, reply, account, { kind: 'identity', id: identity });
  }

  /** The visitor that links single sign-on. The attempt must be from the same session. @throws NotOurForm */
  async function linkingVisitor(request: FastifyRequest, token: string): Promise<Visitor> {
    const visitor = await browser.visitor(request);
    if (visitor !== undefined && isFormToken(visitor.secret, token) && isByPassword(visitor)) return visitor;
    throw new NotOurForm('linking began in another session, or in one that has ended');
  }

  /** @throws Refused when the identity belongs to another user; NotOurForm when the visitor's session has ended meanwhile */
  async function link(request: FastifyRequest, visitor: Visitor, person: Person): Promise<void> {
    const { account, name } = visitor;
    const { issuer, subject } = person;
    const by = actorOf(signedOnIdentity(account, name), browser.requestOrigin(request));
    await linkIdentity(actAs(parts.database, by), name, { issuer, subject }, (db) =>
      browser.requireSession(db, visitor),
    );
  }
}

type Refusal = Pick<AuditEvent, 'action' | 'identity' | 'detail'>;

/** The audit log's error code of a refused sign-on; `undefined` for an internal error. */
function refusalCode(error: unknown): ErrorCode | undefined {
  if (error instanceof Refused) return 'DENIED';
  if (error instanceof NoAttempt || error instanceof NotSignedOn) return 'UNAUTHORIZED';
  if (error instanceof ProviderUnavailable) return 'UNAVAILABLE';
  return error instanceof RegistryError ? error.code : undefined;
}

function providerLink(to: string) {
  const query = new URLSearchParams({ to }).toString();
  return html`<section>
<a class="button main" href="/auth/sign-in/provider?${query}">Sign in with single sign-on</a>
</section>`;
}

function passwordForm(to: string, problem: string | undefined) {
  return html`<section>
${problem !== undefined && html`<p class="bad" role="alert">${problem}</p>`}
<form method="post" action="/auth/sign-in">
<input type="hidden" name="to" value="${to}">
<label for="username">User name</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" required>
<label for="password">Password or access token</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button class="main">Sign in</button>
</form>
</section>`;
}

/** The message on the sign-in page after a refused password; `undefined` for an internal error. */
function explain(error: unknown): { status: number; text: string; retryAfter?: number } | undefined {
  if (!(error instanceof RegistryError)) return undefined;
  const { code, detail } = error;
  if (code === 'UNAUTHORIZED') {
    return {
      status: 401,
      text: typeof detail === 'string' ? detail : 'The user name or the password is wrong.',
    };
  }
  const retryAfter = retryAfterOf(error);
  if (retryAfter === undefined) return undefined;
  return { status: statusOf[code], text: `Too many attempts: wait ${retryAfter} seconds.`, retryAfter };
}
