// The page on which people see their account and make access tokens.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createAccessToken } from '../access/administration/access-tokens.ts';
import { Refused } from '../access/administration/refused.ts';
import type { Audit } from '../access/audit.ts';
import type { AuditAction } from '../access/audit-actions.ts';
import { endOwnToken, type Overview, overviewOf } from '../access/overview.ts';
import { formToken } from '../access/sessions.ts';
import type { Database } from '../db/database.ts';
import { type Browser, signedOnIdentity, type Visitor } from './browser.ts';
import { type Html, html } from './html.ts';
import { sendPage } from './page.ts';
import { accountPath } from './return-path.ts';

export interface AccountParts {
  readonly database: Database;
  readonly browser: Browser;
  readonly audit: Pick<Audit, 'record'>;
  /** Whether people may sign in with their password. */
  readonly passwords: boolean;
}

/** What the page says of what was just done. */
interface News {
  readonly status?: number;
  readonly problem?: string;
  readonly token?: { readonly token: string; readonly expiresAt: number | null };
}

const day = 86_400_000;
/** Days, as the form offers them. */
const lifetimes = [30, 90, 365];
const maxTokenId = 15;

export function addAccount(
  http: FastifyInstance,
  { database, browser, audit, passwords }: AccountParts,
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
      throw new Refused('choose how long the token is good for');
    return trying(request, reply, visitor, async () => {
      const { id, ...token } = await createAccessToken(database, {
        owner: { kind: 'user', name: visitor.name },
        name: form.get('name') ?? '',
        scopes: (form.get('scopes') ?? '').split(/\s/).filter((scope) => scope !== ''),
        lifetime: days === 'never' ? null : Number(days) * day,
        origin: visitor,
      });
      record('token.create', request, visitor, id);
      return send(request, reply, visitor, { token });
    });
  });

  http.post(`${accountPath}/tokens/revoke`, async (request, reply) => {
    const { form, visitor } = await browser.formOf(request);
    const id = form.get('id') ?? '';
    if (!/^\d+$/.test(id) || id.length > maxTokenId) throw new Refused('you have no such token');
    return trying(request, reply, visitor, async () => {
      await endOwnToken(database, visitor.name, Number(id));
      record('token.revoke', request, visitor, Number(id));
      return reply.redirect(accountPath, 303);
    });
  });

  function record(action: AuditAction, request: FastifyRequest, visitor: Visitor, token: number): void {
    const identity = signedOnIdentity(visitor.account, visitor.name);
    const address = browser.addressOf(request);
    audit.record({ action, allowed: true, identity, address, requestId: request.id, detail: { token } });
  }

  /** A mistake in a form is said on the page that it is on. */
  async function trying(
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
    { status = 200, problem, token }: News = {},
  ): Promise<FastifyReply> {
    const overview = await overviewOf(database, visitor.account, passwords);
    if (overview === undefined) return reply.redirect('/auth/sign-in', 303);
    const hidden = html`<input type="hidden" name="form" value="${formToken(visitor.secret)}">`;
    return sendPage(reply, {
      status,
      title: overview.user.name,
      who: html`<form method="post" action="/auth/sign-out">${hidden}<button>Sign out</button></form>`,
      body: html`${problem !== undefined && html`<section><p class="bad" role="alert">${problem}</p></section>`}
${token !== undefined && newToken(token, overview.user.name, new URL(browser.baseOf(request)).host)}
${account(overview)}
${tokens(overview, hidden)}
${tokenForm(hidden, visitor)}`,
    });
  }
}

function newToken({ token, expiresAt }: NonNullable<News['token']>, name: string, host: string): Html {
  return html`<section>
<h2 class="good">Your new access token</h2>
<p>Copy it now: it is not shown again.</p>
<pre><code>${token}</code></pre>
<p>It is good until ${expiresAt === null ? 'you revoke it' : dayOf(expiresAt)}.</p>
<p>Log in with it in place of a password:</p>
<pre><code>docker login -u ${name} ${host}</code></pre>
</section>`;
}

function account({ user, memberships, teams }: Overview): Html {
  const roles = memberships.map(({ name, role }) => (role === 'none' ? name : `${name} (${role})`));
  const names = teams.map(({ organisation, name }) => `${organisation}/${name}`);
  return html`<section>
<h2>Account</h2>
<dl>
<dt>User name</dt><dd>${user.name}</dd>
${user.mail !== null && html`<dt>Mail</dt><dd>${user.mail}</dd>`}
${user.administrator && html`<dt>Administrator</dt><dd>of this registry</dd>`}
<dt>Organisations</dt>${linesOf(roles)}
<dt>Teams</dt>${linesOf([...new Set(names)])}
</dl>
</section>`;
}

function linesOf(texts: readonly string[]): Html {
  return html`${(texts.length === 0 ? ['none'] : texts).map((text) => html`<dd>${text}</dd>`)}`;
}

function tokens({ tokens }: Overview, hidden: Html): Html {
  if (tokens.length === 0)
    return html`<section><h2>Access tokens</h2><p class="soft">You have none.</p></section>`;
  return html`<section>
<h2>Access tokens</h2>
<table>
<thead><tr><th>Name</th><th>Good for</th><th>Until</th><th>Last used</th><th></th></tr></thead>
<tbody>${tokens.map(
    ({ id, name, scopes, expiresAt, lastUsedAt, lastUsedFrom }) => html`<tr>
<td data-label="Name">${name}</td>
<td data-label="Good for">${scopes === '' ? 'all that you may do' : scopes}</td>
<td data-label="Until">${expiresAt === null ? 'you revoke it' : dayOf(expiresAt)}</td>
<td data-label="Last used">${lastUsedAt === null ? 'never' : dayOf(lastUsedAt)} ${lastUsedFrom !== null && html`<small>from ${lastUsedFrom}</small>`}</td>
<td><form method="post" action="/auth/account/tokens/revoke">${hidden}<input type="hidden" name="id" value="${id}">
<button aria-label="Revoke ${name}">Revoke</button></form></td>
</tr>`,
  )}</tbody>
</table>
</section>`;
}

function tokenForm(hidden: Html, visitor: Visitor): Html {
  return html`<section>
<h2>New access token</h2>
<p class="soft">${endsWith(visitor)}</p>
<form method="post" action="/auth/account/tokens">${hidden}
<label for="name">Name</label>
<input id="name" name="name" maxlength="100" placeholder="laptop" required>
<label for="days">Good for</label>
<select id="days" name="days">${lifetimes.map((days) => html`<option value="${days}">${days} days</option>`)}<option value="never">until I revoke it</option></select>
<label for="scopes">Only for <span class="soft">(optional)</span></label>
<input id="scopes" name="scopes" autocapitalize="none" placeholder="repository:acme/app:pull,push">
<button class="main">Make a token</button>
</form>
</section>`;
}

/** With what a token ends that is made in this session. */
function endsWith({ originPassword, originToken }: Visitor): string {
  if (originToken !== null) return 'It ends with the access token that you signed in with.';
  if (originPassword !== null) return 'It ends when your password is changed.';
  return 'It ends when your single sign-on is unlinked.';
}

/** UTC. */
function dayOf(time: number): Html {
  return html`<time>${new Date(time).toISOString().slice(0, 10)}</time>`;
}
