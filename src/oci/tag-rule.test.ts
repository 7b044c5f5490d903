import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leastCpuTime } from '../../test/support/cpu-time.ts';
import { parseTag } from './reference.ts';
import { asTagRule, selects } from './tag-rule.ts';

function selected(rule: string, ...tags: string[]): string[] {
  const parsed = asTagRule(rule);
  assert.ok(parsed, `${rule} is not a rule`);
  return tags.filter((tag) => selects(parsed, parseTag(tag)));
}

test('a glob selects whole tags, where * matches any characters or none', () => {
  const tags = ['v', 'v1', 'v1.2.3', 'latest', 'av1', 'V1'];
  assert.deepEqual(selected('v*', ...tags), ['v', 'v1', 'v1.2.3']);
  assert.deepEqual(selected('v1', ...tags), ['v1']);
  assert.deepEqual(selected('*', ...tags), tags);
  assert.deepEqual(selected('*1*', ...tags), ['v1', 'v1.2.3', 'av1', 'V1']);
  assert.deepEqual(selected('v1.2', 'v1x2'), [], 'a dot matches a dot only');
});

test('semver selects versions, with comparators those in the range', () => {
  const tags = ['0.9.0', 'v1.0.0', '1.0.0-rc.1', '2.0.0', '1.0', 'v1', 'latest', 'semver'];
  assert.deepEqual(selected('semver', ...tags), ['0.9.0', 'v1.0.0', '1.0.0-rc.1', '2.0.0']);
  assert.deepEqual(selected('semver >=1.0.0', ...tags), ['v1.0.0', '2.0.0']);
  assert.deepEqual(selected('semver >=0.1.0 <2.0.0', ...tags), ['0.9.0', 'v1.0.0', '1.0.0-rc.1']);
});

test('exceptions are not selected', () => {
  const tags = ['v1', 'v1-dev', 'v2-rc1', 'v1-develop'];
  assert.deepEqual(selected('v* except *-dev *-rc*', ...tags), ['v1', 'v1-develop']);
  assert.deepEqual(selected('semver except *-*', '1.0.0', '1.0.0-rc.1'), ['1.0.0']);
  assert.deepEqual(selected('except', 'except', 'v1'), ['except'], 'a tag may have this name');
});

test('a rule is printed with single spaces', () => {
  assert.equal(asTagRule('  semver   >=1.0.0  except  *-dev '), 'semver >=1.0.0 except *-dev');
});

test('refuses text that is no rule', () => {
  for (const text of [
    ...[
      '',
      ' ',
      'v* w*',
      'v[0-9]',
      'v?',
      'v*,w*',
      'semver 1.0.0',
      'semver >=1',
      'semver ^1.0.0',
      'v* >=1.0.0',
    ],
    ...['v* except', 'v* except a/b', 'v*\nw*', 'é*'],
    'a'.repeat(129),
    `v* except ${'x '.repeat(128)}`,
  ]) {
    assert.equal(asTagRule(text), undefined, text);
  }
});

test('selects the longest tag fast, whatever the rule', () => {
  const tags = ['a'.repeat(128), `1.2.3-${'0'.repeat(122)}`, `1.2.3-${'a.'.repeat(60)}a`].map(parseTag);
  for (const rule of [`${'*a'.repeat(63)}*b`, `* except ${'*a'.repeat(60)}b ${'*0'.repeat(50)}b`, 'semver']) {
    const parsed = asTagRule(rule);
    assert.ok(parsed, rule);
    for (const tag of tags) {
      const took = leastCpuTime(1, () => void selects(parsed, tag));
      assert.ok(took < 1, `${took} ms for ${rule} and ${tag}`);
    }
  }
});
