import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { asRegistryError } from '../core/faults.ts';
import { findTeamsOfGroups } from './identities.ts';
import { isStorable } from './storable.ts';
import { findTrustsIn } from './trusts.ts';

for (const [text, storable] of [
  ['', true],
  ['a\u{1f600}b', true],
  ['\u0001', true],
  ['a\0', false],
  ['\ud800', false],
  ['\udc00\ud800', false],
] as const) {
  test(`${JSON.stringify(text)} is ${storable ? '' : 'not '}storable unchanged in every database`, () => {
    assert.equal(isStorable(text), storable);
  });
}

for (const { name, open } of dialects.filter(({ name }) => name === 'PostgreSQL')) {
  test(`${name}: an unchecked text with a NUL is a client error`, async (t) => {
    const { read } = await open(t);
    const queries = [() => findTrustsIn(read, 'a\0', 'b'), () => findTeamsOfGroups(read, ['a\0'])];
    for (const query of queries) {
      await assert.rejects(query(), (error: Error & { statusCode?: number }) => {
        assert.deepEqual([error.name, error.statusCode], ['UnstorableText', 400]);
        assert.equal(asRegistryError(error).code, 'UNSUPPORTED');
        return true;
      });
    }
  });
}
