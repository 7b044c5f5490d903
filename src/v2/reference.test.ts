import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { statusOf } from '../http/error-status.ts';
import { type ErrorCode, errorMessages } from '../oci/errors.ts';
import { parseRoute, rightOf } from './routes.ts';

const page = readFileSync(new URL('../../docs/reference/api.md', import.meta.url), 'utf8');

/** The rows of the page's first table: request and action. */
const documented = [
  ...page.matchAll(/^\| `([A-Z]+) (\/v2\/\S*)` +\| \[`(\w+)`\]\(#(\w+)\) +\| (\w+) +\|$/gm),
].map(([, method, path, action, anchor, right]) => ({ method, path, action, anchor, right }));

const examples: Readonly<Record<string, string>> = {
  '<name>': 'library/app',
  '<reference>': 'latest',
  '<digest>': `sha256:${'0'.repeat(64)}`,
  '<id>': '6f1c0a52-6f0b-4a7c-9a3e-2f1f3d5b7c99',
};

test('docs/reference/api.md names exactly the actions of the API', () => {
  const source = readFileSync(new URL('routes.ts', import.meta.url), 'utf8');
  const actions = [...source.matchAll(/\baction: '(\w+)'/g)].map(([, action]) => action);
  assert.deepEqual(documented.map(({ action }) => action).sort(), [...new Set(actions)].sort());
});

for (const { method, path, action, anchor, right } of documented) {
  test(`docs/reference/api.md has the action of ${method} ${path}`, () => {
    const example = path!.replace(/<\w+>/g, (placeholder) => examples[placeholder] as string);
    const route = parseRoute(method as string, example);
    assert.deepEqual({ action: route.action, right: rightOf[route.action] }, { action, right });
    assert.match(page, new RegExp(`^## ${action}$`, 'm'), 'the action has a section');
    assert.equal(anchor, action?.toLowerCase(), 'the link leads to the section');
  });
}

test('docs/reference/api.md gives every error code its status', () => {
  const claims = [...page.matchAll(/\b([45]\d\d) `([A-Z_]+)`/g)];
  assert.ok(claims.length > 30, `found ${claims.length}`);
  for (const [claim, status, code] of claims) {
    assert.ok(Object.hasOwn(errorMessages, code as string), `${claim}: there is no such code`);
    assert.equal(Number(status), statusOf[code as ErrorCode], claim);
  }
});
