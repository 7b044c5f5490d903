import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import { RegistryError } from './errors.ts';
import { asAccountName, asName, asRobotName, parseName } from './name.ts';

/** The spec's grammar without regular expressions, character by character. */
function isNameByHand(text: string): boolean {
  if (text.length > 255) return false;
  return text.split('/').every((component) => {
    let separator = '';
    let previous = '';
    for (const character of component) {
      if (isAlphanumeric(character)) {
        if (separator !== '' && !['.', '_', '__'].includes(separator) && !/^-+$/.test(separator))
          return false;
        separator = '';
      } else {
        if (!'._-'.includes(character) || previous === '') return false;
        separator += character;
      }
      previous = character;
    }
    return previous !== '' && separator === '';
  });
}

function isAlphanumeric(character: string): boolean {
  return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9');
}

const valid = [
  'a',
  '0',
  'library/alpine',
  'a.b_c__d-e---f/0',
  'blobs/uploads/manifests/tags/list/referrers',
  'a'.repeat(255),
  Array(128).fill('a').join('/'),
];
const invalid = [
  ['nothing', ''],
  ['an empty component', 'a//b'],
  ['a slash at the start', '/a'],
  ['a slash at the end', 'a/'],
  ['an upper-case letter', 'Alpine'],
  ['a separator at the start', '_uploads'],
  ['a separator at the end', 'a-'],
  ['two dots', 'a..b'],
  ['three underscores', 'a___b'],
  ['two kinds of separator together', 'a.-b'],
  ['a dot alone', '.'],
  ['a parent path', '../a'],
  ['an encoded dot', 'a/%2e%2e/b'],
  ['an encoded slash', 'a%2fb'],
  ['a NUL', 'a\0b'],
  ['an encoded NUL', 'a%00b'],
  ['a backslash', 'a\\b'],
  ['a line break at the end', 'a\n'],
  ['a colon', 'localhost:5000/a'],
  ['a Cyrillic a', 'а'],
  ['a full-width a', 'ａ'],
  ['a dotless i', 'ı'],
  ['a quote', "a'b"],
  ['256 characters', 'a'.repeat(256)],
] as const;

for (const name of valid) {
  test(`accepts the name ${name.slice(0, 50)} unchanged`, () => {
    assert.equal(parseName(name), name);
    assert.equal(asName(name), name);
  });
}

for (const [what, text] of invalid) {
  test(`a name with ${what} is NAME_INVALID`, () => {
    assert.throws(() => parseName(text), { code: 'NAME_INVALID' });
    assert.equal(asName(text), undefined);
  });
}

test('the parser agrees with the hand-written grammar on any text', () => {
  const nearNames = fc.string({ unit: fc.constantFrom(...'ab0._-/A%'), maxLength: 24 });
  fc.assert(
    fc.property(fc.oneof(nearNames, anyText()), (text) => {
      assert.equal(asName(text) !== undefined, isNameByHand(text));
    }),
    { numRuns: 5_000 },
  );
});

test('accepts every name of the grammar, and throws only RegistryError for others', () => {
  const word = fc.string({ unit: fc.constantFrom(...'abz09'), minLength: 1, maxLength: 5 });
  const separator = fc.constantFrom('.', '_', '__', '-', '----');
  const component = fc
    .tuple(word, fc.array(fc.tuple(separator, word), { maxLength: 3 }))
    .map(([first, rest]) => first + rest.flat().join(''));
  const name = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
  fc.assert(fc.property(name, (text) => void assert.equal(parseName(text), text)));
  fc.assert(
    fc.property(anyText({ maxLength: 400 }), (text) => {
      try {
        assert.equal(parseName(text), text);
      } catch (error) {
        assert.ok(error instanceof RegistryError && error.code === 'NAME_INVALID');
      }
    }),
  );
});

test("a robot's name is a namespace, a plus and a component", () => {
  assert.deepEqual(asRobotName('acme+ci'), { name: 'acme+ci', namespace: 'acme' });
  assert.deepEqual(asRobotName('a.b+c-d'), { name: 'a.b+c-d', namespace: 'a.b' });
  for (const text of [
    'acme',
    '+ci',
    'acme+',
    'a+b+c',
    'a+b+',
    'a++b',
    'acme+CI',
    'a/b+c',
    'a+b/c',
    'a+ b',
    '',
  ]) {
    assert.equal(asRobotName(text), undefined, text);
  }
});

test("an account name is a namespace or a robot's name", () => {
  for (const text of ['acme', 'a-b', 'acme+ci']) assert.equal(asAccountName(text), text);
  for (const text of ['', 'acme/app', 'Acme', '_catalog', 'acme+', '-', 'a\0']) {
    assert.equal(asAccountName(text), undefined, text);
  }
});
