import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findImpossible, type Read, type State, something, type Write } from './register.ts';

const done = (state: State, begin: number, end: number): Write => ({ state, begin, end, done: true });
const unanswered = (state: State, begin: number): Write => ({ state, begin, end: Infinity, done: false });
const read = (saw: Read['saw'], begin: number, end = begin + 1): Read => ({ saw, begin, end });

const histories: [what: string, possible: boolean, writes: Write[], reads: Read[]][] = [
  ['nothing, before any write', true, [], [read(undefined, 1)]],
  ['a value never written', false, [], [read('a', 1)]],
  ['a value written after the read', false, [done('a', 5, 6)], [read('a', 1)]],
  ['an acknowledged value', true, [done('a', 1, 2)], [read('a', 3)]],
  ['nothing, after an acknowledged write', false, [done('a', 1, 2)], [read(undefined, 3)]],
  ['nothing, during a write', true, [done('a', 1, 4)], [read(undefined, 3)]],
  ['the value before the last', false, [done('a', 1, 2), done('b', 3, 4)], [read('a', 5)]],
  ['either of two concurrent values', true, [done('a', 1, 4), done('b', 2, 3)], [read('a', 5)]],
  ['both of two, one after the other', true, [done('a', 1, 4), done('b', 2, 3)], [read('b', 5)]],
  ['an unanswered value', true, [unanswered('a', 1)], [read('a', 9)]],
  ['nothing, after an unanswered write', true, [unanswered('a', 1)], [read(undefined, 9)]],
  ['the value before an unanswered write', true, [done('a', 1, 2), unanswered('b', 3)], [read('a', 9)]],
  ['an unanswered value, late', true, [unanswered('b', 1), done('a', 2, 3)], [read('a', 4), read('b', 9)]],
  [
    'the old value again after the unanswered one',
    false,
    [done('a', 1, 2), unanswered('b', 3)],
    [read('b', 5), read('a', 7)],
  ],
  [
    'the unanswered value again after the new one',
    false,
    [unanswered('a', 1), done('b', 5, 6)],
    [read('a', 3), read('a', 9)],
  ],
  ['nothing, after a delete', true, [done('a', 1, 2), done(undefined, 3, 4)], [read(undefined, 5)]],
  ['a deleted value', false, [done('a', 1, 2), done(undefined, 3, 4)], [read('a', 5)]],
  [
    'a deleted value, pushed again',
    true,
    [done('a', 1, 2), done(undefined, 3, 4), done('a', 5, 6)],
    [read('a', 7)],
  ],
  ['in a list, an existing value', true, [done('a', 1, 2)], [read(something, 3)]],
  ['in a list, a missing value', false, [done('a', 1, 2), done(undefined, 3, 4)], [read(something, 5)]],
];

for (const [what, possible, writes, reads] of histories) {
  test(`${possible ? 'possible' : 'impossible'}: ${what}`, () => {
    assert.deepEqual(findImpossible(writes, reads), possible ? [] : reads.slice(-1));
  });
}
