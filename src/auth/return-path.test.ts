import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { accountPath, returnPath } from './return-path.ts';

for (const [what, to, path] of [
  ['a path', '/auth/account', '/auth/account'],
  ['the root', '/', '/'],
  ['a query', '/a?to=b&c=%20', '/a?to=b&c=%20'],
  ['a query encoded many times', `/a?b=%${'25'.repeat(9)}2f`, `/a?b=%${'25'.repeat(9)}2f`],
  ['every character of a path', "/a-b_.~!$&'()*+,;=:@%41/c", "/a-b_.~!$&'()*+,;=:@%41/c"],
  ['dot segments, which stop at the root', '/a/../../b', '/b'],
  ['encoded slashes within a path', '/a%2f%2fevil.example', '/a%2f%2fevil.example'],
  ['slashes in the middle', '/a//evil.example', '/a//evil.example'],
  ['a path of the maximum length', `/${'a'.repeat(2047)}`, `/${'a'.repeat(2047)}`],
] as const) {
  test(`accepts ${what}`, () => assert.equal(returnPath(to), path));
}

for (const [what, to] of [
  ['no path', undefined],
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
  ['a path that ends in a space', '/a '],
  ['a fragment', '/a#b'],
  ['letters beyond ASCII', '/ä'],
  ['another host behind dots', '/.//evil.example'],
  ['another host behind ..', '/a/..//evil.example'],
  ['another host behind an encoded ..', '/a/%2e%2e//evil.example'],
  ['an encoded slash', '/%2fevil.example'],
  ['an encoded slash, in capitals', '/%2Fevil.example'],
  ['an encoded backslash', '/%5cevil.example'],
  ['an encoded tab', '/%09/evil.example'],
  ['an encoded line feed', '/%0a/evil.example'],
  ['an encoded carriage return', '/%0d/evil.example'],
  ['an encoded slash behind ..', '/x/../%2fevil.example'],
  ['encoded backslashes behind ..', '/x/..%5c%5cevil.example'],
  ['a doubly encoded slash', '/%252fevil.example'],
  ['an encoded .. and slash', '/a/%2e%2e%2f%2fevil.example'],
  ['a doubly encoded slash before ..', '/%252f/%252e%252e'],
  ['a doubly encoded slash before a line feed', '/%252f/%0a..'],
  ['a slash encoded a thousand times', `/%${'25'.repeat(1000)}2f`],
  ['an @, which would end the user name of a URL', '@evil.example'],
  ['a path that is too long', `/${'a'.repeat(2048)}`],
] as const) {
  test(`refuses ${what}`, () => assert.equal(returnPath(to), accountPath));
}

test('the account page is the default', () => {
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

test('for any input a browser stays on this origin, also when a proxy decodes the path first', () => {
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
