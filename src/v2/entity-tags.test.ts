import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import { parseEntityTags } from './conditions.ts';

for (const [header, tags] of [
  [undefined, undefined],
  ['*', '*'],
  [' * ', '*'],
  ['"x"', ['x']],
  ['x', ['x']],
  ['W/"x"', ['x']],
  ['"x","y"', ['x', 'y']],
  [' "x" ,\tW/"y" , z', ['x', 'y', 'z']],
  ['"*"', ['*']],
  ['*, "x"', ['*', 'x']],
  ['', ['']],
] as const) {
  test(`the entity tags of ${JSON.stringify(header)}`, () => {
    assert.deepEqual(parseEntityTags(header), tags);
  });
}

test('any header parses as a list, without errors', () => {
  fc.assert(fc.property(anyText(), (header) => assert.ok(parseEntityTags(header)?.length)));
});
