import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseName, type RepositoryName } from '../oci/name.ts';
import { asPattern, below, matches, type Pattern, prefixOf } from './pattern.ts';

for (const [pattern, matching, others] of [
  ['acme/app', ['acme/app'], ['acme', 'acme/app2', 'acme/ap', 'acme/app/x', 'x/acme/app', 'app']],
  ['alpine', ['alpine'], ['alpine2', 'alpine/x', 'library/alpine']],
  ['acme/*', ['acme/app', 'acme/a-b.c'], ['acme', 'acme/app/x', 'acme2/app', 'x/acme/app']],
  ['acme/web-*', ['acme/web-1', 'acme/web-a-b'], ['acme/web', 'acme/1web-1', 'acme/web-1/x']],
  ['acme/*-web', ['acme/a-web', 'acme/a-web-web'], ['acme/web', 'acme/a-web1']],
  ['acme/a*z', ['acme/az', 'acme/abz', 'acme/azaz'], ['acme/a', 'acme/z', 'acme/azb']],
  ['acme/*a*b*', ['acme/ab', 'acme/xaybz', 'acme/aab', 'acme/abab'], ['acme/ba', 'acme/a', 'acme/b']],
  ['*', ['alpine', 'a'], ['a/b']],
  ['*/app', ['acme/app', 'b/app'], ['app', 'acme/x/app', 'acme/app2']],
  ['acme/**', ['acme/app', 'acme/a/b/c'], ['acme', 'acme2/app', 'x/acme/app']],
  ['**', ['a', 'a/b', 'a/b/c'], []],
  ['**/app', ['acme/app', 'a/b/app', 'app/app'], ['app', 'acme/app/x']],
  ['a/**/z', ['a/b/z', 'a/b/c/z', 'a/z/z', 'a/b/z/z'], ['a/z', 'a/b/c', 'a/b/z/c']],
  ['**/b/**', ['a/b/c', 'a/b/b/c', 'b/b/b', 'x/a/b/c/d'], ['b', 'a/b', 'b/c', 'a/c/d']],
  ['**/**', ['a/b', 'a/b/c'], ['a']],
  ['**/x*/y', ['a/x/y', 'a/x/y/x1/y', 'x/x/y'], ['x/y', 'a/x/y/z']],
] as const) {
  const except = others.length > 0 ? `, not ${others.join(', ')}` : '';
  test(`${pattern} matches ${matching.join(', ')}${except}`, () => {
    assert.equal(asPattern(pattern), pattern);
    for (const name of matching) assert.ok(matches(pattern as Pattern, parseName(name)), name);
    for (const name of others) assert.ok(!matches(pattern as Pattern, parseName(name)), name);
  });
}

const longest = `${'a/'.repeat(127)}a`;

for (const text of [
  'a',
  '0',
  'a.b',
  'a_b',
  'a__b',
  'a-b',
  'a--b',
  'a*.b',
  '*.*',
  'a-*',
  '*-a',
  '*a*',
  longest,
]) {
  test(`accepts a pattern: ${text.slice(0, 20)}`, () => assert.equal(asPattern(text), text));
}

for (const [what, text] of [
  ['empty text', ''],
  ['a capital', 'Acme'],
  ['a capital beside a star', 'A*'],
  ['an empty component', 'acme//app'],
  ['an empty first component', '/acme'],
  ['an empty last component', 'acme/'],
  ['two stars after a letter', 'a**'],
  ['two stars before a letter', '**a'],
  ['three stars', '***'],
  ['two stars before a letter in a middle component', 'acme/**x/app'],
  ['a blank', 'acme/ app'],
  ['a colon', 'acme:app'],
  ['a comma beside a star', 'a,*'],
  ['a line end', 'acme\n'],
  ['a line end after a star', 'acme*\n'],
  ['a line before a valid pattern', 'A\nacme*'],
  ['a dot at the start', '.acme'],
  ['a dot at the start, beside a star', '.acme*'],
  ['a dash at the end', 'acme-'],
  ['a dash at the end, beside a star', '*acme-'],
  ['two dots', 'a..b'],
  ['a component ..', '../acme'],
  ['a question mark', 'acme/?'],
  ['256 characters', `${longest}a`],
] as const) {
  test(`rejects a pattern: ${what}`, () => assert.equal(asPattern(text), undefined));
}

test('the pattern of a namespace matches everything below it', () => {
  assert.equal(below('acme'), 'acme/**');
  assert.equal(asPattern(below('acme')), 'acme/**');
});

for (const [pattern, prefix] of [
  ['acme/app', 'acme/app'],
  ['acme/**', 'acme/'],
  ['acme/web-*/x', 'acme/web-'],
  ['*/app', ''],
  ['**', ''],
] as const) {
  test(`every name that matches ${pattern} starts with ${JSON.stringify(prefix)}`, () => {
    assert.equal(prefixOf(pattern as Pattern), prefix);
  });
}

/** The definition: try everything that a star may match. */
function naive(wanted: readonly string[], given: readonly string[]): boolean {
  const [first, ...rest] = wanted;
  if (first === undefined) return given.length === 0;
  if (first === '**') return given.some((_, i) => naive(rest, given.slice(i + 1)));
  return (
    given.length > 0 && naiveComponent([...first], [...(given[0] as string)]) && naive(rest, given.slice(1))
  );
}

function naiveComponent(wanted: readonly string[], given: readonly string[]): boolean {
  const [first, ...rest] = wanted;
  if (first === undefined) return given.length === 0;
  if (first === '*') return [...given, ''].some((_, i) => naiveComponent(rest, given.slice(i)));
  return given[0] === first && naiveComponent(rest, given.slice(1));
}

// Few characters, so that near matches are frequent.
const word = (...letters: string[]) =>
  fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 5 });
const someName = fc
  .array(word('a', 'b'), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join('/') as RepositoryName);
const somePattern = fc
  .array(fc.oneof(fc.constant('**'), word('a', 'b', '*')), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join('/'))
  .filter((text) => asPattern(text) !== undefined)
  .map((text) => text as Pattern);

test('matches what the definition matches', () => {
  fc.assert(
    fc.property(somePattern, someName, (pattern, name) => {
      assert.equal(matches(pattern, name), naive(pattern.split('/'), name.split('/')));
    }),
    { numRuns: 5_000 },
  );
});

test('every match starts with the prefix', () => {
  fc.assert(
    fc.property(somePattern, someName, (pattern, name) => {
      if (matches(pattern, name)) assert.ok(name.startsWith(prefixOf(pattern)));
    }),
    { numRuns: 2_000 },
  );
});

test('matching is fast for any number of stars', () => {
  const name = parseName('a'.repeat(255));
  const deep = parseName(`${'a/'.repeat(127)}a`);
  const start = performance.now();
  for (const pattern of [`${'*a'.repeat(120)}*b`, `*${'a*'.repeat(127)}`]) {
    matches(asPattern(pattern) as Pattern, name);
  }
  matches(asPattern(`${'**/a/'.repeat(50)}b`) as Pattern, deep);
  const elapsed = performance.now() - start;
  assert.ok(elapsed < 50, `${elapsed} ms`);
});
