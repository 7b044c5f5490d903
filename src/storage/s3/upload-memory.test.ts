import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UploadMemory } from './upload-memory.ts';

const limit = 1 << 20;

test('calls scarce once when half of the memory is in use', async () => {
  const memory = new UploadMemory(limit);
  let calls = 0;
  await memory.enter({
    scarce: () => {
      calls += 1;
    },
  });
  memory.allocated(limit / 2 - 1);
  assert.deepEqual([memory.isScarce, calls], [false, 0]);
  memory.allocated(1);
  memory.allocated(1);
  assert.deepEqual([memory.isScarce, calls], [true, 1]);
  memory.allocated(-2);
  assert.equal(memory.isScarce, false);
});

test('divides a quarter of the memory among the bodies', async () => {
  const memory = new UploadMemory(limit);
  await memory.enter({ scarce: () => {} });
  assert.equal(memory.share, limit / 4);
  await memory.enter({ scarce: () => {} });
  assert.equal(memory.share, limit / 8);
});

test('a body without a free share waits, first come first served', async () => {
  const memory = new UploadMemory(limit);
  const holders = Array.from({ length: 4 }, () => ({ scarce: () => {} }));
  for (const holder of holders) await memory.enter(holder);
  const entered: string[] = [];
  const first = memory.enter({ scarce: () => {} }).then(() => entered.push('first'));
  const second = memory.enter({ scarce: () => {} }).then(() => entered.push('second'));
  await new Promise(setImmediate);
  assert.deepEqual(entered, []);
  memory.leave(holders[0]!);
  await first;
  assert.deepEqual(entered, ['first']);
  memory.leave(holders[1]!);
  await second;
  assert.deepEqual(entered, ['first', 'second']);
});
