import assert from 'node:assert/strict';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { WalSync } from './wal-sync.ts';

/** A log whose syncs the test ends. */
async function logOf(
  t: TestContext,
): Promise<{ wal: WalSync; end: (error?: Error) => Promise<void>; begun: () => number }> {
  const path = join(await temporaryDirectory(t), 'log');
  await writeFile(path, '');
  const file = await open(path);
  const prototype = Object.getPrototypeOf(file) as FileHandle;
  await file.close();
  const running: PromiseWithResolvers<void>[] = [];
  let begun = 0;
  t.mock.method(prototype, 'datasync', () => {
    begun += 1;
    const sync = Promise.withResolvers<void>();
    running.push(sync);
    return sync.promise;
  });
  const wal = new WalSync(path);
  cleanUp(t, () => wal.close());
  const arrived = async () => {
    while (running.length === 0) await new Promise(setImmediate);
  };
  return {
    wal,
    begun: () => begun,
    async end(error) {
      await arrived();
      const sync = running.shift();
      if (error) sync?.reject(error);
      else sync?.resolve();
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    },
  };
}

function settled(promise: Promise<void>): { done: boolean } {
  const state = { done: false };
  promise.then(
    () => {
      state.done = true;
    },
    () => {
      state.done = true;
    },
  );
  return state;
}

test('calls during a sync share the next one, and at most one runs at a time', async (t) => {
  const { wal, end, begun } = await logOf(t);
  const first = settled(wal.sync());
  const later = Array.from({ length: 100 }, () => settled(wal.sync()));
  await end();
  assert.ok(first.done);
  assert.ok(later.every((waiting) => !waiting.done));
  const latest = settled(wal.sync());
  await end();
  assert.ok(later.every((waiting) => waiting.done));
  assert.equal(latest.done, false);
  await end();
  assert.ok(latest.done);
  assert.equal(begun(), 3);
});

test('after a failure every sync rejects', async (t) => {
  const { wal, end, begun } = await logOf(t);
  const first = assert.rejects(wal.sync(), /failed; restart to recover/);
  const second = assert.rejects(wal.sync(), /failed; restart to recover/);
  wal.throwIfFailed();
  await end(new Error('EIO'));
  await Promise.all([first, second]);
  await assert.rejects(wal.sync());
  assert.throws(() => wal.throwIfFailed(), /failed; restart to recover/);
  assert.equal(begun(), 1);
});

test('rejects when the log cannot be opened', async (t) => {
  const wal = new WalSync(join(await temporaryDirectory(t), 'absent'));
  await assert.rejects(wal.sync(), (error: Error) => (error.cause as { code?: string }).code === 'ENOENT');
  await wal.close();
});

test('close waits for running syncs', async (t) => {
  const { wal, end } = await logOf(t);
  const running = settled(wal.sync());
  const waiting = settled(wal.sync());
  const closed = wal.close();
  const closing = settled(closed);
  await end();
  assert.deepEqual([running.done, waiting.done, closing.done], [true, false, false]);
  await end();
  assert.ok(waiting.done);
  await closed;
});
