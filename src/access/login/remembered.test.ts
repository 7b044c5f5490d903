import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Remembered } from './remembered.ts';

function setUp(capacity: number) {
  const time = { now: 1_000 };
  const remembered = new Remembered({ clock: () => time.now, keepFor: 100, capacity });
  const known = (...keys: string[]) => keys.filter((key) => remembered.has(key));
  return { time, remembered, known };
}

test('a key is known until its time ends', () => {
  const { time, remembered, known } = setUp(10);
  assert.deepEqual(known('a'), []);
  remembered.add('a');
  time.now += 99;
  assert.deepEqual(known('a', 'b'), ['a']);
  time.now += 1;
  assert.deepEqual(known('a'), []);
});

test('adding a key again restarts its time', () => {
  const { time, remembered, known } = setUp(10);
  remembered.add('a');
  time.now += 99;
  remembered.add('a');
  time.now += 99;
  assert.deepEqual(known('a'), ['a']);
});

test('keys beyond the capacity evict the oldest', () => {
  const { remembered, known } = setUp(2);
  for (const key of ['a', 'b', 'a', 'c']) remembered.add(key);
  assert.deepEqual(known('a', 'b', 'c'), ['a', 'c']);
});

test('expired keys are removed', () => {
  const { time, remembered, known } = setUp(10);
  remembered.add('a');
  remembered.add('b');
  assert.equal(remembered.size, 2);
  time.now += 100;
  remembered.add('c');
  assert.equal(remembered.size, 1);
  assert.deepEqual(known('a', 'b', 'c'), ['c']);
});
