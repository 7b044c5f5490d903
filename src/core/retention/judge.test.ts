import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestNumber } from '../../../test/support/databases.ts';
import type { RetentionPolicy, RetentionRule } from '../../config/retention-policy.ts';
import type { Tag } from '../../oci/reference.ts';
import { asSemanticVersion, compareVersions } from '../../oci/semantic-version.ts';
import { asTagSelector } from '../../oci/tag-selector.ts';
import { Judge, type TagFacts, type Verdict } from './judge.ts';

const now = 1_000;
const immutable = { rule: 'v*', level: 'configuration', name: undefined } as unknown as TagFacts['immutable'];

const selectors = ['*', 'v*', 'v* except v1.*', '/^n/', 'semver', 'semver >=1.1.0'];
const duration = fc.integer({ min: 1, max: 1_200 });
const rule: fc.Arbitrary<RetentionRule> = fc.record({
  tags: fc.constantFrom(...selectors),
  keep: fc.oneof(
    { weight: 1, arbitrary: fc.constant('all' as const) },
    {
      weight: 6,
      arbitrary: fc
        .record(
          { newest: fc.integer({ min: 1, max: 4 }), pushedWithin: duration, pulledWithin: duration },
          { requiredKeys: [] },
        )
        .chain((keep) =>
          keep.newest === undefined
            ? fc.constant(Object.keys(keep).length === 0 ? ('all' as const) : keep)
            : fc.constantFrom('push' as const, 'version' as const).map((by) => ({ ...keep, by })),
        ),
    },
  ),
});
const policy: fc.Arbitrary<RetentionPolicy> = fc.array(rule, { maxLength: 4 }).map((rules) => ({ rules }));

const facts: fc.Arbitrary<TagFacts> = fc.record({
  tag: fc.oneof(
    fc.tuple(fc.nat(2), fc.nat(12)).map(([major, minor]) => `v${major}.${minor}.0` as Tag),
    fc.nat(30).map((number) => `n${number}` as Tag),
  ),
  // Several tags are often pushed at the same time.
  pushedAt: fc.oneof(fc.integer({ min: 1, max: now }), fc.constantFrom(1, now - 300, now)),
  pulledAt: fc.option(fc.integer({ min: 1, max: now }), { nil: undefined }),
  immutable: fc.oneof(
    { weight: 5, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant(immutable) },
  ),
  belongsTo: fc.oneof(
    { weight: 8, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant(digestNumber(1)) },
  ),
});
const repository = fc.uniqueArray(facts, { selector: ({ tag }) => tag, maxLength: 25 });

function judged(policy: RetentionPolicy, tags: readonly TagFacts[], pullsSince = 0): Map<TagFacts, Verdict> {
  const judge = new Judge(policy, now, pullsSince);
  for (const tag of tags) judge.rank(tag);
  return new Map(tags.map((tag) => [tag, judge.judge(tag)]));
}

function removedOf(policy: RetentionPolicy, tags: readonly TagFacts[], pullsSince = 0): TagFacts[] {
  return [...judged(policy, tags, pullsSince)]
    .filter(([, verdict]) => 'removedBy' in verdict)
    .map(([tag]) => tag);
}

/** A second, plain implementation of the reference page. */
function isRemoved({ rules }: RetentionPolicy, tag: TagFacts, tags: readonly TagFacts[]): boolean {
  if (tag.immutable || tag.belongsTo) return false;
  const selectedBy = ({ tags: text, keep }: RetentionRule, { tag }: TagFacts) =>
    asTagSelector(text)!(tag) &&
    !(keep !== 'all' && keep.newest !== undefined && keep.by === 'version' && !asSemanticVersion(tag));
  const order =
    (by: 'push' | 'version' = 'push') =>
    (a: TagFacts, b: TagFacts) =>
      (by === 'version' ? compareVersions(asSemanticVersion(b.tag)!, asSemanticVersion(a.tag)!) : 0) ||
      b.pushedAt - a.pushedAt ||
      (a.tag < b.tag ? 1 : -1);
  const selecting = rules.filter((rule) => selectedBy(rule, tag));
  return (
    selecting.length > 0 &&
    selecting.every((rule) => {
      const { keep } = rule;
      if (keep === 'all') return false;
      const { newest = 0, pushedWithin = 0, pulledWithin = 0 } = keep;
      const ranked = tags.filter((other) => !other.belongsTo && selectedBy(rule, other)).sort(order(keep.by));
      if (newest > 0 && ranked.slice(0, newest).includes(tag)) return false;
      const used = Math.max(tag.pulledAt ?? 0, tag.pushedAt);
      return tag.pushedAt <= now - pushedWithin && (pulledWithin === 0 || used <= now - pulledWithin);
    })
  );
}

test('removes what a plain reading of the policy removes, whatever the order of the tags', () => {
  fc.assert(
    fc.property(policy, repository, (policy, tags) => {
      const expected = tags.filter((tag) => isRemoved(policy, tag, tags));
      assert.deepEqual(removedOf(policy, tags), expected);
      assert.deepEqual(new Set(removedOf(policy, tags.toReversed())), new Set(expected));
    }),
    { numRuns: 300 },
  );
});

test('another rule never removes a tag that a rule keeps, and a later start of recording removes no more', () => {
  fc.assert(
    fc.property(policy, rule, repository, fc.integer({ min: 0, max: now }), (policy, more, tags, since) => {
      const removed = removedOf(policy, tags);
      const wider = judged({ rules: [...policy.rules, more] }, tags);
      for (const [tag, verdict] of judged(policy, tags)) {
        const isKeptByRule = 'kept' in verdict && 'rule' in verdict.kept;
        if (isKeptByRule) assert.ok('kept' in wider.get(tag)!);
      }
      for (const tag of removedOf(policy, tags, since)) assert.ok(removed.includes(tag));
    }),
    { numRuns: 200 },
  );
});

test('says which rule and condition keep a tag', () => {
  const rules: RetentionRule[] = [
    { tags: 'v*', keep: { newest: 1, by: 'version' } },
    { tags: '*', keep: { pushedWithin: 100, pulledWithin: 500 } },
    { tags: 'latest', keep: 'all' },
  ];
  const old = { pushedAt: 1, pulledAt: 1 };
  const tags: TagFacts[] = [
    { tag: 'v1.10.0' as Tag, ...old },
    { tag: 'v1.9.0' as Tag, ...old },
    { tag: 'v1' as Tag, ...old },
    { tag: 'pulled' as Tag, pushedAt: 1, pulledAt: 600 },
    { tag: 'pushed' as Tag, pushedAt: 950 },
    { tag: 'latest' as Tag, ...old },
    { tag: 'fixed' as Tag, ...old, immutable },
    { tag: 'sig' as Tag, ...old, belongsTo: digestNumber(1) },
  ];
  assert.deepEqual(
    [...judged({ rules }, tags).values()],
    [
      { kept: { because: 'newest', rule: 1 } },
      { removedBy: [1, 2] },
      // No semantic version: rule 1 does not select it.
      { removedBy: [2] },
      { kept: { because: 'pulled', rule: 2 } },
      { kept: { because: 'pushed', rule: 2 } },
      { kept: { because: 'all', rule: 3 } },
      { kept: { because: 'immutable', by: immutable } },
      { kept: { because: 'part', of: digestNumber(1) } },
    ],
  );
  assert.deepEqual(judged({ rules }, tags, 501).get(tags[1]!), {
    kept: { because: 'pulls-unknown', rule: 2 },
  });
  assert.deepEqual(judged({ rules: [] }, tags).get(tags[1]!), { kept: { because: 'unselected' } });
});

test('a condition holds for less than its duration, and a start of recording matters to last pulls only', () => {
  const tag: TagFacts = { tag: 'v1' as Tag, pushedAt: now - 100, pulledAt: now - 50 };
  const verdictOf = (keep: RetentionRule['keep'], facts = tag, pullsSince = 0) =>
    judged({ rules: [{ tags: '*', keep }] }, [facts], pullsSince).get(facts);
  const removed = { removedBy: [1] };
  assert.deepEqual(verdictOf({ pushedWithin: 101 }), { kept: { because: 'pushed', rule: 1 } });
  assert.deepEqual(verdictOf({ pushedWithin: 100 }), removed);
  assert.deepEqual(verdictOf({ pulledWithin: 51 }), { kept: { because: 'pulled', rule: 1 } });
  assert.deepEqual(verdictOf({ pulledWithin: 50 }), removed);
  const { pulledAt: _, ...unpulled } = tag;
  assert.deepEqual(verdictOf({ pulledWithin: 101 }, unpulled), { kept: { because: 'pushed', rule: 1 } });
  assert.deepEqual(verdictOf({ pulledWithin: 100 }, unpulled), removed);
  assert.deepEqual(verdictOf({ pulledWithin: 50 }, unpulled, now - 50), removed);
  assert.deepEqual(verdictOf({ pushedWithin: 50 }, tag, now + 1), removed);
});

test('of tags that were pushed at the same time the last by name is the newest', () => {
  const tags = ['a', 'c', 'b'].map((name) => ({ tag: name as Tag, pushedAt: 1 }));
  const rules: RetentionRule[] = [{ tags: '*', keep: { newest: 1 } }];
  assert.deepEqual(
    removedOf({ rules }, tags).map(({ tag }) => tag),
    ['a', 'b'],
  );
});

test('keeps a tag that came after the ranking while there are fewer tags than the rule keeps', () => {
  const judge = new Judge({ rules: [{ tags: 'semver', keep: { newest: 2, by: 'version' } }] }, now, 0);
  const kept = { kept: { because: 'newest', rule: 1 } };
  assert.deepEqual(judge.judge({ tag: 'v1.0.0' as Tag, pushedAt: 1 }), kept);
  judge.rank({ tag: 'v2.0.0' as Tag, pushedAt: 1 });
  assert.deepEqual(judge.judge({ tag: 'v1.0.0' as Tag, pushedAt: 1 }), kept);
  judge.rank({ tag: 'v3.0.0' as Tag, pushedAt: 1 });
  assert.deepEqual(judge.judge({ tag: 'v1.0.0' as Tag, pushedAt: 1 }), { removedBy: [1] });
});

test('says whether a policy depends on the other tags, and on pulls', () => {
  const needs = (...keeps: RetentionRule['keep'][]) => {
    const judge = new Judge({ rules: keeps.map((keep) => ({ tags: '*', keep })) }, now, 0);
    return [judge.ranks, judge.needsPulls];
  };
  assert.deepEqual(needs(), [false, false]);
  assert.deepEqual(needs('all', { pushedWithin: 1 }), [false, false]);
  assert.deepEqual(needs('all', { newest: 1 }), [true, false]);
  assert.deepEqual(needs('all', { pulledWithin: 1 }), [false, true]);
});

test('refuses a policy with a rule that it cannot read', () => {
  const rules: RetentionRule[] = [{ tags: 'semver >=x', keep: { newest: 1 } }];
  assert.throws(() => new Judge({ rules }, now, 0), /invalid rule: semver >=x/);
});
