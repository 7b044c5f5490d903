// The sections of the account page.
import type { Overview } from '../administration/overview.ts';
import type { Visitor } from './browser.ts';
import { type Html, html } from './html.ts';
import { linkPath } from './return-path.ts';

/** The lifetimes in the form, in days. */
export const lifetimes = [30, 90, 365];

/** An access token that was just created. */
export interface NewToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null;
}

export function newToken({ token, expiresAt }: NewToken, name: string, host: string): Html {
  return html`<section>
<h2 class="good">Your new access token</h2>
<p>Copy it now. It is not shown again.</p>
<pre><code>${token}</code></pre>
<p>${expiresAt === null ? 'It does not expire' : html`It expires on ${dayOf(expiresAt)}`}.</p>
<p>Use it as the password:</p>
<pre><code>docker login -u ${name} ${host}</code></pre>
</section>`;
}

export function account({ user, memberships, teams }: Overview): Html {
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

export function tokens({ tokens }: Overview, hidden: Html): Html {
  if (tokens.length === 0)
    return html`<section><h2>Access tokens</h2><p class="soft">You have no access tokens.</p></section>`;
  return html`<section>
<h2>Access tokens</h2>
<table>
<thead><tr><th>Name</th><th>Scopes</th><th>Expires</th><th>Last used</th><th></th></tr></thead>
<tbody>${tokens.map(
    ({ id, name, scopes, expiresAt, lastUsedAt, lastUsedFrom }) => html`<tr>
<td data-label="Name">${name}</td>
<td data-label="Scopes">${scopes === '' ? 'all your rights' : scopes}</td>
<td data-label="Expires">${expiresAt === null ? 'never' : dayOf(expiresAt)}</td>
<td data-label="Last used">${lastUsedAt === null ? 'never' : dayOf(lastUsedAt)} ${lastUsedFrom !== null && html`<small>from ${lastUsedFrom}</small>`}</td>
<td><form method="post" action="/auth/account/tokens/revoke">${hidden}<input type="hidden" name="id" value="${id}">
<button aria-label="Revoke ${name}">Revoke</button></form></td>
</tr>`,
  )}</tbody>
</table>
</section>`;
}

export function tokenForm(hidden: Html, visitor: Visitor): Html {
  return html`<section>
<h2>New access token</h2>
<p class="soft">${endOfToken(visitor)}</p>
<form method="post" action="/auth/account/tokens">${hidden}
<label for="name">Name</label>
<input id="name" name="name" maxlength="100" placeholder="laptop" required>
<label for="days">Expires</label>
<select id="days" name="days">${lifetimes.map((days) => html`<option value="${days}">in ${days} days</option>`)}<option value="never">never</option></select>
<label for="scopes">Scopes <span class="soft">(optional)</span></label>
<input id="scopes" name="scopes" autocapitalize="none" placeholder="repository:acme/app:pull,push">
<button class="main">Create token</button>
</form>
</section>`;
}

/** @param hidden the hidden field of the form that links an identity; absent: no form */
export function signOnOf({ identities }: Overview, hidden: Html | undefined): Html {
  return html`<section>
<h2>Single sign-on</h2>
${identities.length === 0 && html`<p class="soft">Your account is not linked to single sign-on.</p>`}
${identities.length > 0 && html`<dl>${identities.map(({ issuer, subject }) => html`<dt>${subject}</dt><dd>at ${issuer}</dd>`)}</dl>`}
${
  hidden === undefined
    ? identities.length === 0 && html`<p class="soft">Sign in with your password to link it.</p>`
    : html`<form method="post" action="${linkPath}">${hidden}<button>Link single sign-on</button></form>`
}
</section>`;
}

export function passwordForm(hidden: Html): Html {
  return html`<section>
<h2>Change your password</h2>
<p class="soft">This signs out your other browsers, and ends access tokens created after signing in with the old password.</p>
<form method="post" action="/auth/account/password">${hidden}
<label for="current">Current password</label>
<input id="current" name="current" type="password" autocomplete="current-password" required>
<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" required>
<label for="again">New password again</label>
<input id="again" name="again" type="password" autocomplete="new-password" required>
<button class="main">Change password</button>
</form>
</section>`;
}

/** The event that ends tokens created in this session. */
function endOfToken({ originPassword, originToken }: Visitor): string {
  if (originToken !== null) return 'It ends with the access token that you signed in with.';
  if (originPassword !== null) return 'It ends when your password is changed.';
  return 'It ends when your single sign-on is unlinked.';
}

/** UTC. */
function dayOf(time: number): Html {
  return html`<time>${new Date(time).toISOString().slice(0, 10)}</time>`;
}
