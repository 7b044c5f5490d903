import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from './pace.ts';

async function timeOf(
  limits: ConstructorParameters<typeof Pace>[0],
  sizes: readonly number[],
): Promise<number> {
  const began = performance.now();
  const pace = new Pace(limits);
  for (const size of sizes) await pace.spend(size);
  return performance.now() - began;
}

/** Tells whether the event loop has turned since. */
function nextTurn(): { passed: boolean } {
  const turn = { passed: false };
  setImmediate(() => (turn.passed = true));
  return turn;
}

test('does not wait without limits', async () => {
  const turn = nextTurn();
  await timeOf({ blobsPerSecond: 0, bytesPerSecond: 0 }, Array(1_000).fill(1 << 30));
  assert.equal(turn.passed, false);
});

test('waits between blobs, for the longer of the two limits', async () => {
  assert.ok((await timeOf({ blobsPerSecond: 50, bytesPerSecond: 0 }, [1, 1, 1])) >= 40);
  assert.ok((await timeOf({ blobsPerSecond: 1_000, bytesPerSecond: 100 }, [2, 2, 2])) >= 40);
});

test('stops waiting when the signal is aborted', async () => {
  const pace = new Pace({ blobsPerSecond: 0.01, bytesPerSecond: 0 });
  await pace.spend(1);
  await assert.rejects(pace.spend(1, AbortSignal.timeout(10)), { name: 'AbortError' });
});
