import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  asSemanticVersion,
  asVersionRange,
  compareVersions,
  type SemanticVersion,
} from './semantic-version.ts';

const version = (text: string): SemanticVersion => {
  const found = asSemanticVersion(text);
  assert.ok(found, `${text} is not a version`);
  return found;
};

test('accepts versions, also with a leading v and with the build metadata of Helm', () => {
  for (const text of [
    ...['0.0.0', '1.2.3', 'v1.2.3', '1.0.0-alpha.1', '1.0.0-0A.is.legal', '1.0.0--', '1.2.3-00a'],
    ...['1.0.0+20130313144700', '1.0.0-beta+exp.sha.5114f85', '1.2.3_4', 'v1.2.3-rc.1_build.5'],
    '99999999999999999999999.999999999999999999.99999999999999999',
  ]) {
    version(text);
  }
});

test('refuses text that is no version', () => {
  for (const text of [
    ...['', 'v', '1', '1.2', 'v1.2', 'latest', '1.2.3.4', '01.2.3', '1.02.3', '1.2.03', 'vv1.2.3', 'V1.2.3'],
    ...['1.2.3-', '1.2.3-01', '1.2.3-a..b', '1.2.3+', '1.2.3_', '1.2.3-a_b_c', ' 1.2.3', '1.2.3\n', 'x1.2.3'],
    `1.2.${'3'.repeat(300)}`,
  ]) {
    assert.equal(asSemanticVersion(text), undefined, text);
  }
});

test('orders versions by precedence', () => {
  const ascending = [
    '0.9.9',
    // The order that semver.org gives.
    ...['1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta', '1.0.0-beta.2', '1.0.0-beta.11'],
    ...['1.0.0-rc.1', '1.0.0', '1.0.1', '1.9.0', '1.10.0', '2.0.0'],
    // Longer than a number is exact.
    ...['9007199254740992.0.0', '9007199254740993.0.0'],
  ];
  for (const [i, a] of ascending.entries()) {
    for (const [j, b] of ascending.entries()) {
      assert.equal(Math.sign(compareVersions(version(a), version(b))), Math.sign(i - j), `${a} and ${b}`);
    }
  }
  assert.equal(compareVersions(version('1.0.0+a'), version('v1.0.0_b')), 0);
});

test('a range holds the versions for which all comparators hold', () => {
  const holds = (range: string, text: string) => asVersionRange(range.split(' '))?.(version(text));
  for (const [range, inside, outside] of [
    ['>=1.0.0', ['1.0.0', '1.0.1-rc.1', '10.0.0'], ['0.9.9', '1.0.0-rc.1']],
    ['>1.0.0', ['1.0.1'], ['1.0.0']],
    ['<=v1.0.0', ['1.0.0', '1.0.0-rc.1'], ['1.0.1']],
    ['>=1.0.0 <2.0.0', ['1.0.0', '2.0.0-rc.1'], ['0.1.0', '2.0.0']],
  ] as const) {
    for (const text of inside) assert.equal(holds(range, text), true, `${text} in ${range}`);
    for (const text of outside) assert.equal(holds(range, text), false, `${text} in ${range}`);
  }
  for (const bad of ['1.0.0', '>=1.0', '^1.0.0', '>=', '=>1.0.0', '>=1.0.0 x', '>= 1.0.0']) {
    assert.equal(asVersionRange(bad.split(' ')), undefined, bad);
  }
});
