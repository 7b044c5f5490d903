import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { DataDirectoryInUse, lockDataDirectory } from './data-lock.ts';

test('a data directory is locked once, and free again when the lock is released', async (t) => {
  const data = await temporaryDirectory(t);
  const lock = await lockDataDirectory(data);
  await assert.rejects(lockDataDirectory(data), DataDirectoryInUse);
  lock.release();
  (await lockDataDirectory(data)).release();
});

test('a lock goes with its process, even a killed one', async (t) => {
  const data = await temporaryDirectory(t);
  const module = new URL('./data-lock.ts', import.meta.url).href;
  const script = `import { lockDataDirectory } from ${JSON.stringify(module)};
    await lockDataDirectory(${JSON.stringify(data)}); console.log('locked'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await assert.rejects(lockDataDirectory(data), DataDirectoryInUse);
  child.kill('SIGKILL');
  await once(child, 'exit');
  (await lockDataDirectory(data)).release();
});
