// The frame of every page: one style sheet, no script, no external content.
import { createHash } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import { type Html, html, verbatim } from './html.ts';

const style = `
:root { color-scheme: light dark; --text: #1c2024; --soft: #60646c; --line: #d9d9e0; --page: #f9f9fb; --card: #fff; --accent: #0b66c2;
  --on-accent: #fff; --bad: #b42318; --good: #1a7f45 }
@media (prefers-color-scheme: dark) { :root { --text: #edeef0; --soft: #b0b4ba; --line: #363a3f; --page: #111113; --card: #18191b;
  --accent: #70b8ff; --on-accent: #0c1420; --bad: #ff9592; --good: #71d083 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
main, header { max-width: 46rem; margin: 0 auto; padding: 0 1rem }
header { display: flex; gap: 1rem; align-items: center; justify-content: space-between; padding-top: 1.25rem }
header strong { font-size: 1.1rem }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.25rem; margin: 1.25rem 0 }
h1 { font-size: 1.5rem; margin: 1.5rem 0 0 } h2 { font-size: 1.1rem; margin: 0 0 .75rem }
p { margin: .5rem 0 } .soft, dt, th, small { color: var(--soft) } .bad { color: var(--bad) } .good { color: var(--good) }
h1, p, dd, td { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: 0 } dd { margin: 0; grid-column: 2 }
label { display: block; margin: .75rem 0 .25rem; font-weight: 600 }
input, select, button, .button { font: inherit; padding: .5rem .75rem; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--page); color: var(--text); max-width: 100% }
input, select { width: 100% }
button, .button { cursor: pointer; text-decoration: none; display: inline-block }
.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600 }
form > .main { margin-top: 1rem }
section > :first-child, form > label:first-of-type { margin-top: 0 } section > :last-child { margin-bottom: 0 }
[role=alert] + form { margin-top: 1rem }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
pre, code { font: .9rem/1.5 ui-monospace, monospace } pre { padding: .75rem; border: 1px solid var(--line);
  border-radius: .5rem; background: var(--page); margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all }
table { border-collapse: collapse; width: 100% } tr { border-bottom: 1px solid var(--line) } tbody tr:last-child { border: 0 }
th, td { text-align: left; padding: .5rem .75rem .5rem 0; vertical-align: top } td:last-child { padding-right: 0; text-align: right }
th, time, button { white-space: nowrap } small { display: block }
@media (max-width: 40rem) { thead { display: none } tr, td { display: block } tr { padding: .5rem 0 }
  td, td:last-child { padding: .125rem 0; text-align: left } td small { display: inline }
  td[data-label]::before { content: attr(data-label) ': '; color: var(--soft) } }
`;

const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** @param signOut the form, on pages of a session */
export function sendPage(
  reply: FastifyReply,
  { status = 200, title, signOut, body }: { status?: number; title: string; signOut?: Html; body: Html },
): FastifyReply {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – Berth</title>
<style>${verbatim(style)}</style>
</head>
<body>
<header><strong>Berth</strong>${signOut}</header>
<main>
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`;
  return reply
    .code(status)
    .headers({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
      // Hides URLs from other sites; own forms keep their Origin.
      'referrer-policy': 'same-origin',
      'cache-control': 'no-store',
    })
    .send(page.text);
}

/** Sends a page with one message and a link to sign in. In a session the link leads to the account page. */
export function sendMessage(
  reply: FastifyReply,
  { status, title, text }: { status: number; title: string; text: string },
): FastifyReply {
  const body = html`<section>
<p>${text}</p>
<p><a class="button main" href="/auth/sign-in">Sign in again</a></p>
</section>`;
  return sendPage(reply, { status, title, body });
}
