// The account page, where users see their account and create access tokens.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { actorOf } from '../access/actor.ts';
import { signedOnIdentity } from '../access/identity.ts';
import type { Logins } from '../access/login/logins.ts';
import { formToken } from '../access/login/sessions.ts';
import { Refused } from '../access/refused.ts';
import { createAccessToken, revokeOwnToken } from '../administration/access-tokens.ts';
import { type ActingDatabase, actAs } from '../administration/change.ts';
import { overviewOf, userOf } from '../administration/overview.ts';
import { changeOwnPassword } from '../administration/users.ts';
import type { Audit } from '../audit/audit.ts';
import type { Database } from '../db/database.ts';
import type { User } from '../db/users.ts';
import { RegistryError } from '../oci/errors.ts';
import {
  account,
  lifetimes,
  type NewToken,
  newToken,
  passwordForm,
  signOnOf,
  tokenForm,
  tokens,
} from './account-page.ts';
import { type Browser, isByPassword, type Visitor } from './browser.ts';
import { html } from './html.ts';
import { sendPage } from './page.ts';
import { accountPath } from './return-path.ts';

export interface AccountParts {
  readonly database: Database;
  readonly browser: Browser;
  readonly audit: Pick<Audit, 'record'>;
  readonly logins: Pick<Logins, 'authenticate' | 'inTurn'>;
  /** Whether users may sign in with their password. */
  readonly passwords: boolean;
  /** Absent: no single sign-on. */
  readonly provider: object | undefined;
}

/** The outcome of the submitted form, shown on the page. */
interface Outcome {
  readonly status?: number;
  readonly problem?: string;
  readonly token?: NewToken;
}

const day = 86_400_000;
const maxTokenId = 15;

export function addAccount(
  http: FastifyInstance,
  { database, browser, audit, logins, passwords, provider }: AccountParts,
): void {
  http.get(accountPath, async (request, reply) => {
    const visitor = await browser.visitor(request);
    if (visitor === undefined) return reply.redirect('/auth/sign-in', 303);
    return send(request, reply, visitor);
  });

  http.post(`${accountPath}/tokens`, async (request, reply) => {
    const { form, visitor } = await browser.formOf(request);
    const days = form.get('days') ?? '';
    if (days !== 'never' && !lifetimes.includes(Number(days)))
      throw new Refused('choose when the token expires');
    return showingMistakes(request, reply, visitor, async () => {
      const { id: _, ...token } = await createAccessToken(actingFor(request, visitor), {
        owner: { kind: 'user', name: visitor.name },
        name: form.get('name') ?? '',
        scopes: (form.get('scopes') ?? '').split(/\s/).filter((scope) => scope !== ''),
        lifetime: days === 'never' ? null : Number(days) * day,
        origin: visitor,
      });
      return send(request, reply, visitor, { token });
    });
  });

  http.post(`${accountPath}/tokens/revoke`, async (request, reply) => {
    const { form, visitor } = await browser.formOf(request);
    const id = form.get('id') ?? '';
    if (!/^\d+$/.test(id) || id.length > maxTokenId) throw new Refused('you have no such token');
    return showingMistakes(request, reply, visitor, async () => {
      await revokeOwnToken(actingFor(request, visitor), visitor.name, Number(id));
      return reply.redirect(accountPath, 303);
    });
  });

  http.post(`${accountPath}/password`, async (request, reply) => {
    const { form, visitor } = await browser.formOf(request);
    return showingMistakes(request, reply, visitor, async () => {
      if (!hasOwnPassword(await userOf(database, visitor.account), passwords)) {
        throw new Refused('this account has no password that can be changed here');
      }
      const password = form.get('password') ?? '';
      if (password !== form.get('again')) throw new Refused('the new passwords do not match');
      const since = await confirm(request, visitor, form.get('current') ?? '');
      const changed = await logins.inTurn(browser.addressOf(request), () =>
        changeOwnPassword(actingFor(request, visitor), { id: visitor.account, since, password }),
      );
      await browser.signIn(request, reply, visitor.account, { kind: 'password', since: changed });
      return reply.redirect(accountPath, 303);
    });
  });

  /** Checks the user's password as a login does; returns when it was set. @throws Refused, RegistryError */
  async function confirm(request: FastifyRequest, visitor: Visitor, password: string): Promise<number> {
    const { name } = visitor;
    try {
      const { credential } = await logins.authenticate(
        { username: name, password },
        browser.addressOf(request),
      );
      if (credential.kind === 'password') return credential.since;
      throw new RegistryError('UNAUTHORIZED');
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      audit.record({
        action: 'user.password',
        allowed: false,
        identity: signedOnIdentity(visitor.account, name),
        address: browser.addressOf(request),
        requestId: request.id,
        error: error.code,
        detail: { user: name },
      });
      throw error.code === 'UNAUTHORIZED' ? new Refused('the current password is wrong') : error;
    }
  }

  function actingFor(request: FastifyRequest, { account, name }: Visitor): ActingDatabase {
    return actAs(database, actorOf(signedOnIdentity(account, name), browser.requestOrigin(request)));
  }

  /** Runs `work`. If it throws {@link Refused}, shows the message on the account page. */
  async function showingMistakes(
    request: FastifyRequest,
    reply: FastifyReply,
    visitor: Visitor,
    work: () => Promise<FastifyReply>,
  ): Promise<FastifyReply> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return send(request, reply, visitor, { status: 400, problem: error.message });
    }
  }

  async function send(
    request: FastifyRequest,
    reply: FastifyReply,
    visitor: Visitor,
    { status = 200, problem, token }: Outcome = {},
  ): Promise<FastifyReply> {
    const overview = await overviewOf(database, visitor.account, passwords);
    if (overview === undefined) return reply.redirect('/auth/sign-in', 303);
    const signsOn = provider !== undefined;
    const hidden = html`<input type="hidden" name="form" value="${formToken(visitor.secret)}">`;
    return sendPage(reply, {
      status,
      title: overview.user.name,
      signOut: html`<form method="post" action="/auth/sign-out">${hidden}<button>Sign out</button></form>`,
      body: html`${problem !== undefined && html`<section><p class="bad" role="alert">${problem}</p></section>`}
${token !== undefined && newToken(token, overview.user.name, new URL(browser.baseOf(request)).host)}
${account(overview)}
${tokens(overview, hidden)}
${tokenForm(hidden, visitor)}
${(signsOn || overview.identities.length > 0) && signOnOf(overview, signsOn && isByPassword(visitor) ? hidden : undefined)}
${hasOwnPassword(overview.user, passwords) && passwordForm(hidden)}`,
    });
  }
}

/** Whether the user can log in with a password that Berth stores. */
function hasOwnPassword(user: User | undefined, passwords: boolean): boolean {
  return passwords && user !== undefined && user.password !== null && !user.tokenOnly;
}
