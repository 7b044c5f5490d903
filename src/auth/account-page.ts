// What the account page shows, section by section.
import type { Overview } from '../administration/overview.ts';
import type { Visitor } from './browser.ts';
import { type Html, html } from './html.ts';
import { linkPath } from './return-path.ts';

/** Days, as the form offers them. */
export const lifetimes = [30, 90, 365];

/** An access token that was made just now. */
export interface NewToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null;
}

export function newToken({ token, expiresAt }: NewToken, name: string, host: string): Html {
  return html`<section>
<h2 class="good">Your new access token</h2>
<p>Copy it now: it is not shown again.</p>
<pre><code>${token}</code></pre>
<p>It is good until ${expiresAt === null ? 'you revoke it' : dayOf(expiresAt)}.</p>
<p>Log in with it in place of a password:</p>
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

export function tokenForm(hidden: Html, visitor: Visitor): Html {
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

/** @param hidden of the form that links an identity; absent: none is linked here */
export function signOnOf({ identities }: Overview, hidden: Html | undefined): Html {
  return html`<section>
<h2>Single sign-on</h2>
${identities.length === 0 && html`<p class="soft">You are not linked to an identity of it.</p>`}
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
<p class="soft">Other browsers are signed out, and access tokens end that were made after signing in with the old password.</p>
<form method="post" action="/auth/account/password">${hidden}
<label for="current">Current password</label>
<input id="current" name="current" type="password" autocomplete="current-password" required>
<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" required>
<label for="again">New password again</label>
<input id="again" name="again" type="password" autocomplete="new-password" required>
<button class="main">Change it</button>
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
