import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import { type Digest, parseDigest } from './digest.ts';
import { RegistryError } from './errors.ts';
import { asTag, fallbackTag, parseReference, parseTag, printReference } from './reference.ts';

const letters = 'abcdefghijklmnopqrstuvwxyz';
const word = `${letters}${letters.toUpperCase()}0123456789_`;

/** The grammar without regular expressions. */
function isTagByHand(text: string): boolean {
  return (
    text.length >= 1 &&
    text.length <= 128 &&
    word.includes(text[0] as string) &&
    [...text].every((character) => `${word}.-`.includes(character))
  );
}

for (const tag of ['latest', '1', '_', 'V1.0-rc_2', '__proto__', 'constructor', 'a'.repeat(128), 'a..b--']) {
  test(`accepts the tag ${tag.slice(0, 20)} unchanged`, () => {
    assert.equal(parseTag(tag), tag);
  });
}

const invalid = [
  ['nothing', ''],
  ['a leading dot', '.a'],
  ['a parent path', '..'],
  ['a leading dash', '-a'],
  ['a slash', 'a/b'],
  ['an encoded slash', 'a%2fb'],
  ['a plus, which Helm writes as _', '1.0+2'],
  ['a space', 'a b'],
  ['a line break at the end', 'a\n'],
  ['a NUL', 'a\0'],
  ['a quote', "a'"],
  ['an umlaut', 'ä'],
  ['129 characters', 'a'.repeat(129)],
] as const;

for (const [what, text] of invalid) {
  test(`a tag with ${what} is TAG_INVALID`, () => {
    assert.equal(asTag(text), undefined);
    assert.throws(() => parseTag(text), { code: 'TAG_INVALID' });
  });
}

test('the parser agrees with the hand-written grammar on any text', () => {
  const near = fc.string({ unit: fc.constantFrom(...'aZ0_.-:/ \n'), maxLength: 8 });
  const long = fc.string({ unit: fc.constantFrom(...'a.'), minLength: 126, maxLength: 130 });
  fc.assert(
    fc.property(fc.oneof(near, long, anyText()), (text) => {
      assert.equal(asTag(text) !== undefined, isTagByHand(text));
    }),
    { numRuns: 5_000 },
  );
});

test('parses text with a colon as a digest, other text as a tag', () => {
  assert.throws(() => parseReference('sha256:abc'), { code: 'DIGEST_INVALID' });
  assert.throws(() => parseReference('a b'), { code: 'TAG_INVALID' });
  assert.deepEqual(parseReference('sha256'), { kind: 'tag', tag: 'sha256' });
});

test('printReference returns the parsed text', () => {
  const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 });
  const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/);
  fc.assert(
    fc.property(
      fc.oneof(
        hex.map((digits) => `sha256:${digits}`),
        tag,
        fc.string(),
      ),
      (text) => {
        try {
          assert.equal(printReference(parseReference(text)), text);
        } catch (error) {
          assert.ok(error instanceof RegistryError, String(error));
          assert.ok(error.code === 'TAG_INVALID' || error.code === 'DIGEST_INVALID');
        }
      },
    ),
  );
});

test('the fallback tag of every digest is a valid tag, truncated as in the spec', () => {
  const sha256 = parseDigest(`sha256:${'a'.repeat(64)}`);
  assert.equal(fallbackTag(sha256), `sha256-${'a'.repeat(64)}`);
  const sha512: Digest = parseDigest(`sha512:${'b'.repeat(128)}`);
  assert.equal(fallbackTag(sha512), `sha512-${'b'.repeat(64)}`);
  for (const digest of [sha256, sha512]) assert.ok(asTag(fallbackTag(digest)));
});
