import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextTurn, nextTurnInTransaction } from './next-turn.ts';

/** Counts iterations of the event loop until `until` is settled. */
function countIterations(until: Promise<unknown>): () => number {
  let [count, done] = [0, false];
  const next = (): void => {
    count += 1;
    if (!done) setImmediate(next);
  };
  setImmediate(next);
  until.finally(() => {
    done = true;
  });
  return () => count;
}

test('concurrent slices run in separate iterations, in order of request', async () => {
  const order: number[] = [];
  const iterations: number[] = [];
  const all = Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      await nextTurn();
      order.push(i);
      iterations.push(count());
    }),
  );
  const count = countIterations(all);
  await all;
  assert.deepEqual(
    order,
    Array.from({ length: 50 }, (_, i) => i),
  );
  assert.equal(new Set(iterations).size, 50);
});

test('work of many slices does not delay work of few', async () => {
  let long = 0;
  const longWork = (async () => {
    for (; long < 100; long++) await nextTurn();
  })();
  await nextTurn();
  assert.ok(long <= 1, `${long} slices went before`);
  await longWork;
});

test('a transaction does not wait for readers', async () => {
  let readers = 0;
  const reading = Promise.all(
    Array.from({ length: 100 }, async () => {
      await nextTurn();
      readers += 1;
    }),
  );
  for (let slice = 0; slice < 10; slice++) await nextTurnInTransaction();
  assert.ok(readers <= 1, `${readers} slices went before`);
  await reading;
});
