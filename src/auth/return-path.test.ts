import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { accountPath, returnPath } from './return-path.ts';

for (const [what, to, path] of [
  ['a path', '/auth/account', '/auth/account'],
  ['the root', '/', '/'],
  ['a query', '/a?to=b&c=%20', '/a?to=b&c=%20'],
  ['a query that is encoded many times', `/a?b=%${'25'.repeat(9)}2f`, `/a?b=%${'25'.repeat(9)}2f`],
  ['every mark that a path can have', "/a-b_.~!$&'()*+,;=:@%41/c", "/a-b_.~!$&'()*+,;=:@%41/c"],
  ['dots, which lead no further than to the root', '/a/../../b', '/b'],
  ['what is another host only elsewhere', '/a%2f%2fevil.example', '/a%2f%2fevil.example'],
  ['slashes in the middle', '/a//evil.example', '/a//evil.example'],
  ['as long a path as is taken', `/${'a'.repeat(2047)}`, `/${'a'.repeat(2047)}`],
] as const) {
  test(`${what} is where people return to`, () => assert.equal(returnPath(to), path));
}

for (const [what, to] of [
  ['nothing', undefined],
  ['a list', ['/a']],
  ['an empty text', ''],
  ['a path without its slash', 'a'],
  ['a URL', 'https://evil.example/'],
  ['a script', 'javascript:alert(1)'],
  ['another host', '//evil.example'],
  ['another host without a name', '//'],
  ['another host, by backslashes', '/\\evil.example'],
  ['another host behind a tab', '/\t/evil.example'],
  ['another host on a second line', '/a\n//evil.example'],
  ['a second header', '/a\r\nset-cookie: x=y'],
  ['a path that a blank ends', '/a '],
  ['a fragment', '/a#b'],
  ['letters beyond ASCII', '/ä'],
  ['another host behind dots', '/.//evil.example'],
  ['another host behind a way up', '/a/..//evil.example'],
  ['another host behind a way up, in numbers', '/a/%2e%2e//evil.example'],
  ['a slash as its number', '/%2fevil.example'],
  ['a slash as its number, in capitals', '/%2Fevil.example'],
  ['a backslash as its number', '/%5cevil.example'],
  ['a tab as its number', '/%09/evil.example'],
  ['a line feed as its number', '/%0a/evil.example'],
  ['a carriage return as its number', '/%0d/evil.example'],
  ['a slash as its number behind a way up', '/x/../%2fevil.example'],
  ['a backslash as its number behind a way up', '/x/..%5c%5cevil.example'],
  ['a slash as the number of its number', '/%252fevil.example'],
  ['a way up and a slash, both in numbers', '/a/%2e%2e%2f%2fevil.example'],
  ['a slash as the number of its number before a way up', '/%252f/%252e%252e'],
  ['a slash as the number of its number before a line feed', '/%252f/%0a..'],
  ['what is encoded a thousand times', `/%${'25'.repeat(1000)}2f`],
  ['an @, which would be the user name of a URL', '@evil.example'],
  ['a path that is too long', `/${'a'.repeat(2048)}`],
] as const) {
  test(`${what} is no path to return to`, () => assert.equal(returnPath(to), accountPath));
}

test('the page of the account is where everybody else is sent', () => {
  assert.equal(returnPath('//evil.example'), '/auth/account');
});

const piece = fc.constantFrom(
  ...[
    '/',
    '//',
    '\\',
    '.',
    '..',
    '%2e',
    '%2E%2e',
    '%2f',
    '%2F',
    '%5c',
    '%252f',
    '%25',
    '%',
    '%09',
    '%0a',
    '%252e',
    '\t',
    '\n',
  ],
  ...[
    'x',
    'evil.example',
    '@',
    ':',
    ':443',
    '?',
    '#',
    ';',
    '&',
    '%00',
    '\0',
    ' ',
    '\u{fe6b}',
    '\u{2f}\u{301}',
    'https:',
  ],
);

test('whatever was asked for, a browser stays on this origin, and does so when somebody decodes the path first', () => {
  const base = 'https://registry.example';
  const decodeOnce = (path: string): string => {
    try {
      return decodeURIComponent(path);
    } catch {
      return path;
    }
  };
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, rooted) => {
      const out = returnPath(`${rooted ? '/' : ''}${pieces.join('')}`);
      for (const read of [out, decodeOnce(out), decodeOnce(decodeOnce(out))]) {
        const url = new URL(read, base);
        assert.equal(url.origin, base, out);
        assert.ok(!url.pathname.startsWith('//'), out);
        assert.doesNotMatch(read, /^\/[\\/]/, out);
      }
    }),
    { numRuns: 3_000 },
  );
});
