import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { DataDirectoryInUse } from '../database.ts';
import { joinDataDirectory, lockDataDirectory } from './data-lock.ts';

test('a data directory can be locked once, and again after the release', async (t) => {
  const data = await temporaryDirectory(t);
  const lock = await lockDataDirectory(data);
  await assert.rejects(lockDataDirectory(data), DataDirectoryInUse);
  lock.release();
  (await lockDataDirectory(data)).release();
});

test('workers join a shared lock and keep another server out after their own has ended', async (t) => {
  const data = await temporaryDirectory(t);
  const lock = await lockDataDirectory(data);
  assert.throws(() => joinDataDirectory(data), DataDirectoryInUse, 'not shared');
  lock.share();
  const workers = [joinDataDirectory(data), joinDataDirectory(data)];
  await assert.rejects(lockDataDirectory(data), DataDirectoryInUse, 'the server is running');
  lock.release();
  workers[0]?.release();
  await assert.rejects(lockDataDirectory(data, 0), DataDirectoryInUse, 'a worker is running');
  const successor = holdInChild(t, data);
  await once(successor.child, 'spawn');
  workers[1]?.release();
  await successor.locked;
});

test('a lock ends with its process, even a killed one', async (t) => {
  const data = await temporaryDirectory(t);
  const { child, locked } = holdInChild(t, data);
  await locked;
  await assert.rejects(lockDataDirectory(data), DataDirectoryInUse);
  child.kill('SIGKILL');
  await once(child, 'exit');
  (await lockDataDirectory(data)).release();
});

/** Starts another process that locks the directory. */
function holdInChild(t: TestContext, data: string) {
  const module = new URL('./data-lock.ts', import.meta.url).href;
  const script = `import { lockDataDirectory } from ${JSON.stringify(module)};
    await lockDataDirectory(${JSON.stringify(data)}); console.log('locked'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return { child, locked: once(child.stdout, 'data') };
}
