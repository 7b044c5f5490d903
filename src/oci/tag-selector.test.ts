import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestTurnOf } from '../../test/support/main-thread.ts';
import type { Digest } from './digest.ts';
import { partTagsOf, wholeOf } from './part-tags.ts';
import type { Tag } from './reference.ts';
import { asTagSelector } from './tag-selector.ts';

test('selects tags by a tag rule, or by a regular expression anywhere in the tag', () => {
  const cases: [selector: string, selected: string, other: string][] = [
    ['v* except *-dev', 'v1', 'v1-dev'],
    ['semver >=1.0.0', 'v1.2.3', 'v0.9.0'],
    ['/^nightly-\\d+$/', 'nightly-17', 'nightly-x'],
    ['/rc/', 'v1-rc.1', 'v1'],
  ];
  for (const [text, selected, other] of cases) {
    const selects = asTagSelector(text)!;
    assert.deepEqual([selects(selected as Tag), selects(other as Tag)], [true, false], text);
  }
});

test('refuses expressions that need backtracking or a large program', () => {
  const texts = [
    '//',
    '/',
    '/(/',
    '/(a)\\1/',
    '/(?=a)/',
    '/a{1001}/',
    '/(?:a?){150}/',
    `/${'a'.repeat(254)}/`,
  ];
  for (const text of texts) assert.equal(asTagSelector(text), undefined, text);
});

test('matches the worst expressions in time linear in the tag', async () => {
  const tag = 'a'.repeat(128) as Tag;
  for (const text of ['/(a*)*b/', '/(.*a){25}b/', '/(?:a?){90}a{90}b/']) {
    const selects = asTagSelector(text)!;
    selects(tag);
    assert.ok((await longestTurnOf(async () => void selects(tag))) < 50, text);
  }
});

test('names the tags of parts of a manifest, and the manifest of such a tag', () => {
  const digest = `sha256:${'0a'.repeat(32)}` as Digest;
  const name = `sha256-${'0a'.repeat(32)}`;
  assert.deepEqual(partTagsOf(digest), [name, `${name}.sig`, `${name}.att`, `${name}.sbom`]);
  for (const tag of partTagsOf(digest)) assert.equal(wholeOf(tag), digest);
  for (const tag of ['v1', `${name}.other`, `x${name}`]) assert.equal(wholeOf(tag as Tag), undefined);
});
