import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concurrently } from './concurrently.ts';

async function* numbers(count: number, taken: number[] = []): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) {
    taken.push(i);
    yield i;
  }
}

test('runs every item once, never more at a time than the limit', async () => {
  const ran: number[] = [];
  let running = 0;
  let most = 0;
  await concurrently(numbers(50), 4, async (item) => {
    most = Math.max(most, ++running);
    await new Promise(setImmediate);
    ran.push(item);
    running -= 1;
  });
  assert.equal(most, 4);
  assert.deepEqual(
    ran.toSorted((a, b) => a - b),
    Array.from({ length: 50 }, (_, i) => i),
  );
});

test('starts nothing after a failure, and waits for running work', async () => {
  const taken: number[] = [];
  let running = 0;
  const failing = concurrently(numbers(50, taken), 4, async (item) => {
    running += 1;
    await new Promise(setImmediate);
    running -= 1;
    if (item === 1) throw new Error('the second');
  });
  await assert.rejects(failing, /the second/);
  assert.equal(running, 0);
  assert.ok(taken.length < 12, `${taken.length} items were taken`);
});

test("rejects with the source's failure", async () => {
  async function* broken(): AsyncGenerator<number> {
    yield 1;
    throw new Error('no more');
  }
  await assert.rejects(
    concurrently(broken(), 4, async () => {}),
    /no more/,
  );
});
