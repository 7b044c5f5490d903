import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import {
  asDigest,
  digestAlgorithm,
  digestHex,
  digestOf,
  parseDigest,
  parseDigestAlgorithm,
  quote,
} from './digest.ts';

const hex64 = '0123456789abcdef'.repeat(4);
const hex128 = hex64.repeat(2);

/** The grammar without regular expressions. */
function isDigestByHand(text: string): boolean {
  const lengths: [string, number][] = [
    ['sha256:', 64],
    ['sha512:', 128],
  ];
  return lengths.some(([prefix, length]) => {
    const hex = text.slice(prefix.length);
    return (
      text.startsWith(prefix) &&
      hex.length === length &&
      [...hex].every((c) => '0123456789abcdef'.includes(c))
    );
  });
}

for (const digest of [`sha256:${hex64}`, `sha512:${hex128}`]) {
  test(`${digest.slice(0, 10)}… parses into algorithm and hex`, () => {
    const parsed = parseDigest(digest);
    assert.equal(parsed, digest);
    assert.equal(digestOf(digestAlgorithm(parsed), digestHex(parsed)), digest);
  });
}

const invalid = [
  ['nothing', ''],
  ['an algorithm alone', 'sha256'],
  ['no hex', 'sha256:'],
  ['63 digits', `sha256:${hex64.slice(1)}`],
  ['65 digits', `sha256:${hex64}0`],
  ['upper-case hex', `sha256:${hex64.toUpperCase()}`],
  ['an upper-case algorithm', `SHA256:${hex64}`],
  ['another algorithm', `md5:${hex64.slice(32)}`],
  ['sha512 with 64 digits', `sha512:${hex64}`],
  ['sha256 with 128 digits', `sha256:${hex128}`],
  ['a parent path', 'sha256:../../x'],
  ['a parent path as long as a digest', `sha256:${'../'.repeat(21)}x`],
  ['a trailing path', `sha256:${hex64}/..`],
  ['a trailing NUL', `sha256:${hex64}\0`],
  ['a line break as the last digit', `sha256:${hex64.slice(1)}\n`],
  ['a second colon', `sha256::${hex64.slice(1)}`],
  ['an inherited property as the algorithm', `constructor:${hex64}`],
  ['__proto__ as the algorithm', `__proto__:${hex64}`],
  ['full-width digits', `sha256:${'０'.repeat(64)}`],
  ['a leading space', ` sha256:${hex64}`],
] as const;

for (const [what, text] of invalid) {
  test(`a digest with ${what} is DIGEST_INVALID`, () => {
    assert.equal(asDigest(text), undefined);
    assert.throws(() => parseDigest(text), { code: 'DIGEST_INVALID' });
  });
}

test('the parser agrees with the hand-written grammar on any text', () => {
  const algorithm = fc.constantFrom('sha256', 'sha512', 'sha384', 'SHA256', 'sha256:', '');
  const encoded = fc.oneof(
    fc.constantFrom(hex64, hex128, hex64.toUpperCase()),
    fc.string({ unit: fc.constantFrom(...'0123456789abcdefgG./:\n'), minLength: 62, maxLength: 66 }),
  );
  const near = fc.tuple(algorithm, encoded).map(([name, hex]) => `${name}:${hex}`);
  fc.assert(
    fc.property(fc.oneof(near, anyText()), (text) => {
      assert.equal(asDigest(text) !== undefined, isDigestByHand(text));
    }),
    { numRuns: 2_000 },
  );
});

test('parseDigestAlgorithm accepts sha256 and sha512 only, and no inherited property', () => {
  assert.equal(parseDigestAlgorithm('sha512'), 'sha512');
  for (const text of ['', 'md5', 'SHA256', 'sha256 ', 'toString', '__proto__']) {
    assert.throws(() => parseDigestAlgorithm(text), { code: 'DIGEST_INVALID' });
  }
});

test('quote returns a short, well-formed text on one line', () => {
  assert.equal(quote('a"b\r\n\0'), String.raw`"a\"b\r\n\u0000"`);
  assert.ok(quote('x'.repeat(1_000_000)).length < 100);
  fc.assert(
    fc.property(anyText({ maxLength: 200 }), (text) => {
      const quoted = quote(text);
      assert.ok(quoted.isWellFormed() && [...quoted].every((character) => character >= ' '));
    }),
  );
});
