import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRetentionPolicy, writtenPolicy } from './retention-policy.ts';

const written = {
  rules: [
    { tags: '/^nightly-\\d+$/', keep: { newest: 7 } },
    { tags: 'semver >=1.0.0 except *-dev', keep: { newest: 3, by: 'version' as const, pulledWithin: '30d' } },
    { tags: 'latest', keep: 'all' as const },
  ],
  untagged: { removeAfter: '7d' },
};

function mistakesIn(text: string): readonly string[] {
  const parsed = parseRetentionPolicy('p.yaml', text);
  assert.ok('mistakes' in parsed, text);
  return parsed.mistakes;
}

test('reads a policy in JSON or YAML, and writes it as it was', () => {
  const parsed = parseRetentionPolicy('p.json', JSON.stringify(written));
  assert.ok('policy' in parsed);
  assert.equal(parsed.policy.untagged?.removeAfter, 7 * 86_400_000);
  assert.deepEqual(writtenPolicy(parsed.policy), written);
  assert.deepEqual(parseRetentionPolicy('p.yaml', 'rules: [] # keeps all'), { policy: { rules: [] } });
});

test('refuses each mistake with its position, value and remedy', () => {
  const cases: [line: string, mistake: RegExp][] = [
    ['- { tags: "v**(", keep: all }', /^p.yaml:2:11: rules\[0\].tags is "v\*\*\("; allowed: a pattern/],
    [
      '- { tags: "/(a)\\\\1/", keep: all }',
      /rules\[0\].tags is .*; allowed: .* a regular expression between/,
    ],
    ['- { keep: all }', /^p.yaml:2:3: rules\[0\].tags is missing; allowed/],
    ['- { tags: v*, keep: {} }', /rules\[0\].keep is {}; allowed: all, or at least one/],
    ['- { tags: v*, keep: { by: push } }', /rules\[0\].keep is {"by":"push"}; allowed: all, or at least one/],
    [
      '- { tags: v*, keep: { by: push, pushedWithin: 1d } }',
      /rules\[0\].keep is .*; allowed: all, or at least/,
    ],
    [
      '- { tags: v*, keep: { newest: 0 } }',
      /^p.yaml:2:31: rules\[0\].keep.newest is 0; allowed: a whole number/,
    ],
    ['- { tags: v*, keep: { pushedWithin: 30 } }', /keep.pushedWithin is 30; allowed: a duration/],
    ['- { tags: v*, keep: { newset: 3 } }', /unknown key rules\[0\].keep.newset; did you mean newest\?/],
    ['- { tags: v*, keep: { size: 3 } }', /unknown key rules\[0\].keep.size; allowed: all, or at least one/],
  ];
  for (const [line, mistake] of cases) assert.match(mistakesIn(`rules:\n${line}`)[0] as string, mistake);
  assert.match(mistakesIn('')[0] as string, /^p.yaml:1:1: the file is empty; allowed: the keys rules/);
  assert.match(mistakesIn('rules: [')[0] as string, /^p.yaml:1:9: /);
  assert.match(mistakesIn('rules: []\nuntagged: 7d')[0] as string, /untagged is "7d"; allowed: the key/);
});

test('refuses more than 100 rules, an alias bomb, and an alias in itself', () => {
  const rules = Array.from({ length: 101 }, (_, at) => ({ tags: `v${at}*`, keep: 'all' }));
  assert.match(mistakesIn(JSON.stringify({ rules }))[0] as string, /; allowed: a list of at most 100 rules/);
  const bomb = [
    'a: &a0 [x]',
    ...Array.from({ length: 9 }, (_, at) => `b${at}: &a${at + 1} [${`*a${at},`.repeat(9)}]`),
  ];
  assert.match(mistakesIn(bomb.join('\n'))[0] as string, /^p.yaml: Excessive alias count/);
  assert.match(mistakesIn('rules: &a [*a]')[0] as string, /is a value that contains itself; allowed/);
});
