import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkRow, type Finding } from './walk.ts';

/** The findings for a row that reads as each of `states` in turn, when the check always fails. */
async function reported(...states: (string | undefined)[]): Promise<string[]> {
  const findings: Finding[] = [];
  const [first, ...later] = states;
  await checkRow(
    { state: first },
    async () => {
      const state = later.shift();
      return state === undefined ? undefined : { state };
    },
    async ({ state }) => [
      { severity: 'error', kind: 'blob-missing', subject: String(state), problem: 'gone', affects: [] },
    ],
    (finding) => findings.push(finding),
  );
  return findings.map((finding) => finding.subject);
}

describe('a finding in a live registry', () => {
  test('is reported if its row is unchanged afterwards', async () => {
    assert.deepEqual(await reported('a', 'a'), ['a']);
  });

  test('is dropped if its row was deleted meanwhile', async () => {
    assert.deepEqual(await reported('a', undefined), []);
  });

  test('is checked again if its row changed meanwhile', async () => {
    assert.deepEqual(await reported('a', 'b', 'b'), ['b']);
    assert.deepEqual(await reported('a', 'b', undefined), []);
  });
});
