import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorBody, statusOf } from '../http/error-status.ts';
import { type ErrorCode, errorMessages, RegistryError } from '../oci/errors.ts';

const codes = Object.keys(errorMessages) as ErrorCode[];
const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => /^\| `[A-Z_]+` +\|/.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test('docs/reference/errors.md lists every code once, in order, with its status', () => {
  assert.deepEqual(
    rows.map(([code, status]) => [code, status]),
    codes.map((code) => [`\`${code}\``, String(statusOf[code])]),
  );
});

test('docs/reference/errors.md gives the meaning and the remedy of every code', () => {
  for (const [code, , meaning = '', remedy = ''] of rows) {
    for (const sentence of [meaning, remedy]) assert.match(sentence, /^[A-Z`].+\.$/, `${code}`);
  }
});

test('every code has an error status and a message', () => {
  for (const code of codes) {
    assert.ok(statusOf[code] >= 400 && statusOf[code] <= 599, code);
    assert.match(errorMessages[code], /^[a-z].*[^.]$/);
  }
});

test('an error body has the form of the spec, detail only if present, and never the cause', () => {
  const cause = new Error('internal');
  const bare = { code: 'NAME_UNKNOWN', message: errorMessages.NAME_UNKNOWN };
  assert.deepEqual(JSON.parse(errorBody(new RegistryError('NAME_UNKNOWN', undefined, { cause }))), {
    errors: [bare],
  });
  for (const detail of ['text', { name: 'a' }, [{ digest: 'x' }], null, 0, '']) {
    const body = errorBody(new RegistryError('NAME_UNKNOWN', detail, { cause }));
    assert.deepEqual(JSON.parse(body), { errors: [{ ...bare, detail }] });
  }
});
