import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHtpasswd, whyUnsupported } from './htpasswd.ts';

test('entries are read with line numbers, with any line ends, blank lines and comments', () => {
  const text = '\ufeffalice:$2y$05$a\r\n\n  # people\n \t\n bob:hash:who is bob\ncarol:\n';
  assert.deepEqual(parseHtpasswd(text), {
    entries: [
      { line: 1, name: 'alice', hash: '$2y$05$a' },
      { line: 5, name: 'bob', hash: 'hash' },
      { line: 6, name: 'carol', hash: '' },
    ],
    invalidLines: [],
  });
});

test('a line without a name or colon is reported', () => {
  assert.deepEqual(parseHtpasswd('alice\n:hash\nb:c\n\ufeffd:e'), {
    entries: [
      { line: 3, name: 'b', hash: 'c' },
      { line: 4, name: 'd', hash: 'e' },
    ],
    invalidLines: [1, 2],
  });
});

const whole = 'a'.repeat(53);
const crypt = 'canarycanary.';

for (const [what, hash, why] of [
  ['bcrypt', `$2y$05$${whole}`, undefined],
  ['bcrypt of the highest cost', `$2b$15$${whole}`, undefined],
  ['bcrypt of a higher cost', `$2a$16$${whole}`, 'bcrypt of cost 16; the highest is 15'],
  ['bcrypt of cost 3', `$2b$03$${whole}`, 'an incomplete bcrypt hash'],
  ['part of bcrypt', `$2b$15$${whole.slice(1)}`, 'an incomplete bcrypt hash'],
  ['text before bcrypt', `x$2b$16$${whole}`, 'an unknown kind of hash'],
  ['an unknown version of bcrypt', `$2x$16$${whole}`, 'an unknown kind of hash'],
  ['apr1', '$apr1$salt$hash', "Apache's MD5"],
  ['MD5', '$1$salt$hash', 'MD5'],
  ['SHA-1', '{SHA}hash=', 'SHA-1 without a salt'],
  ['salted SHA-1', '{SSHA}hash=', 'SHA-1'],
  ['SHA-256', '$5$salt$hash', 'SHA-256'],
  ['SHA-512', '$6$salt$hash', 'SHA-512'],
  ['crypt', crypt, 'crypt, which reads 8 characters'],
  ['crypt with 14 characters', `${crypt}x`, 'an unknown kind of hash'],
  ['crypt with 12 characters', crypt.slice(1), 'an unknown kind of hash'],
  ['crypt with an invalid character', `${crypt.slice(1)}!`, 'an unknown kind of hash'],
  ['an empty hash', '', 'an unknown kind of hash'],
  ...['$apr1$', '$1$', '{SHA}', '{SSHA}', '$5$', '$6$'].map(
    (form) => [`text before ${form}`, `x${form}hash`, 'an unknown kind of hash'] as const,
  ),
] as const) {
  test(`${what} ${why === undefined ? 'can be imported' : `cannot be imported: ${why}`}`, () => {
    assert.equal(whyUnsupported(hash), why);
  });
}
