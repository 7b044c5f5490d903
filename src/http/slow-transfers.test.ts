import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { SlowTransfers } from './slow-transfers.ts';

const idleTimeout = 1_000;

/** Time that passes when it is told to. */
function clockOf(t: TestContext): (milliseconds: number) => void {
  let now = 0;
  t.mock.timers.enable({ apis: ['setInterval'] });
  t.mock.method(performance, 'now', () => now);
  return (milliseconds) => {
    for (let i = 0; i < milliseconds; i += 25) {
      now += 25;
      t.mock.timers.tick(25);
    }
  };
}

function watched(t: TestContext, minimumRate: number) {
  const pass = clockOf(t);
  const slow = new SlowTransfers({ idleTimeout, minimumRate });
  t.after(() => slow.close());
  const transfer = { bytes: 0, cuts: [] as string[] };
  const unwatch = slow.watch(
    () => transfer.bytes,
    (reason) => {
      transfer.cuts.push(reason.code);
    },
  );
  return { slow, transfer, unwatch, pass };
}

test('a transfer without a byte of progress is cut after the idle time, not before', (t) => {
  const { slow, transfer, pass } = watched(t, 0);
  pass(idleTimeout - 50);
  assert.deepEqual(transfer.cuts, []);
  pass(idleTimeout / 4);
  assert.deepEqual(transfer.cuts, ['REQUEST_TIMEOUT']);
  assert.equal(slow.size, 0);
});

test('without a minimum rate one byte in each idle time is enough, for as long as it takes', (t) => {
  const { transfer, pass } = watched(t, 0);
  for (let i = 0; i < 50; i++) {
    transfer.bytes += 1;
    pass(idleTimeout * 0.8);
  }
  assert.deepEqual(transfer.cuts, []);
});

test('a transfer that moves below the minimum rate is cut', (t) => {
  const { transfer, pass } = watched(t, 100);
  for (let i = 0; i < 30 && transfer.cuts.length === 0; i++) {
    transfer.bytes += 9;
    pass(100);
  }
  assert.deepEqual(transfer.cuts, ['REQUEST_TIMEOUT']);
});

test('a transfer at the minimum rate goes on, though it pauses within the idle time', (t) => {
  const { transfer, pass } = watched(t, 100);
  for (let i = 0; i < 30; i++) {
    transfer.bytes += 120;
    pass(idleTimeout);
  }
  assert.deepEqual(transfer.cuts, []);
});

test('a transfer that has ended is not watched any more', (t) => {
  const { slow, transfer, unwatch, pass } = watched(t, 100);
  unwatch();
  assert.equal(slow.size, 0);
  pass(5 * idleTimeout);
  assert.deepEqual(transfer.cuts, []);
});

test('transfers are judged each for itself, also one that begins when the others have long ended', (t) => {
  const { slow, transfer: first, pass } = watched(t, 0);
  pass(2 * idleTimeout);
  assert.equal(first.cuts.length, 1);
  const moving = { bytes: 0, cut: false };
  const stalled = { bytes: 0, cut: false };
  for (const transfer of [moving, stalled]) {
    slow.watch(
      () => transfer.bytes,
      () => {
        transfer.cut = true;
      },
    );
  }
  for (let i = 0; i < 20; i++) {
    moving.bytes += 1;
    pass(idleTimeout / 5);
  }
  assert.deepEqual([moving.cut, stalled.cut], [false, true]);
});

test('after close nobody is cut', (t) => {
  const { slow, transfer, pass } = watched(t, 0);
  slow.close();
  pass(5 * idleTimeout);
  assert.deepEqual(transfer.cuts, []);
});
