import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokenRules, type Claims } from './claim-rules.ts';

const claims: Claims = {
  repository: 'acme/app',
  ref: 'refs/heads/main',
  run_attempt: 2,
  protected: true,
  nothing: null,
  groups: ['developers', 'release', { name: 'admins' }, ['nested']],
  'kubernetes.io': { namespace: 'ci', serviceaccount: { name: 'builder' } },
  'https://issuer.example/team': 'core',
  address: { country: 'NL' },
  '': { ef: 'of no name' },
};

const table: [name: string, pattern: string, matches: boolean][] = [
  ['repository', 'acme/app', true],
  ['repository', 'acme/*', true],
  ['repository', '*', true],
  ['repository', 'acme/ap', false],
  ['repository', 'acme/app2', false],
  ['repository', 'Acme/app', false],
  ['repository', '', false],
  ['ref', 'refs/heads/*', true],
  ['ref', 'refs/*/ma*n', true],
  ['ref', 'refs/tags/*', false],
  ['ref', 'heads', false],
  ['ref', 'refs.heads.main', false],
  ['run_attempt', '2', true],
  ['run_attempt', '2.0', false],
  ['protected', 'true', true],
  ['protected', 'false', false],
  ['nothing', 'null', false],
  ['nothing', '*', false],
  ['nothing.inner', '*', false],
  ['absent', '*', false],
  ['toString', '*', false],
  ['__proto__', '*', false],
  ['groups', 'release', true],
  ['groups', 'rel*', true],
  ['groups', 'developers,release', false],
  ['groups', 'admins', false],
  ['groups', '*nested*', false],
  ['groups.0', 'developers', false],
  ['groups.length', '4', false],
  ['address', '*', false],
  ['address.country', 'NL', true],
  ['address.country.length', '2', false],
  ['kubernetes.io', '*', false],
  ['kubernetes.io.namespace', 'ci', true],
  ['kubernetes.io.namespace', 'c', false],
  ['kubernetes.io.serviceaccount.name', 'build*', true],
  ['kubernetes.io.serviceaccount', '*', false],
  ['https://issuer.example/team', 'core', true],
  ['.ef', 'of no name', true],
];

for (const [name, pattern, matches] of table) {
  test(`the rule ${name} = ${JSON.stringify(pattern)} ${matches ? 'matches' : 'does not match'}`, () => {
    assert.equal(brokenRules({ [name]: pattern }, claims).length, matches ? 0 : 1);
  });
}

test('an ambiguous name has to match in every reading', () => {
  const both = (one: string, other: string): Claims => ({ 'a.b': one, a: { b: other } });
  assert.deepEqual(brokenRules({ 'a.b': 'x' }, both('x', 'x')), []);
  assert.deepEqual(brokenRules({ 'a.b': 'x' }, both('x', 'y')), [
    'claim "a.b" is "x" and "y", which does not match "x"',
  ]);
  assert.equal(brokenRules({ 'a.b': 'x' }, both('y', 'x')).length, 1);
});

test("every rule has to match, and each broken one is named with the token's value", () => {
  assert.deepEqual(
    brokenRules({ repository: 'acme/app', ref: 'refs/tags/*', environment: 'production' }, claims),
    [
      'claim "ref" is "refs/heads/main", which does not match "refs/tags/*"',
      'the token has no claim "environment"',
    ],
  );
});

test('a long value is cut, and printed as JSON', () => {
  const said = (value: unknown) => brokenRules({ long: 'x' }, { long: value });
  const whole = JSON.stringify('y'.repeat(198));
  assert.deepEqual(said('y'.repeat(198)), [`claim "long" is ${whole}, which does not match "x"`]);
  assert.deepEqual(said('y'.repeat(199)), [`claim "long" is "${'y'.repeat(199)}…, which does not match "x"`]);
});

test('the largest token is checked fast, however ambiguous its names are', () => {
  // Each name can be read in two ways; all of them together have not much more than 16 KiB.
  const nest = (depth: number): unknown =>
    depth === 0 ? 'y' : { a: nest(depth - 1), ...(depth > 1 && { 'a.a': nest(depth - 2) }) };
  const claims = nest(14) as Claims;
  assert.ok(JSON.stringify(claims).length > 10_000);
  const start = performance.now();
  assert.equal(brokenRules({ [Array(14).fill('a').join('.')]: 'x' }, claims).length, 1);
  assert.ok(performance.now() - start < 100);
});
