// After an error, a file system becomes read-only: writes fail, and reads succeed.
import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanUp } from '../support/cleanup.ts';
import { run } from '../support/command.ts';
import { isInstalled } from '../support/needs.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { eventually } from './descriptors.ts';
import { pullBlob, pushBlob } from './uploading.ts';

const skip =
  process.getuid?.() === 0 && isInstalled('mkfs.ext4') ? false : 'mounting an ext4 file system needs root';

test('a disk that became read-only: pulls succeed, and the registry is not ready', { skip }, async (t) => {
  const folder = await temporaryDirectory(t);
  const image = join(folder, 'image');
  const disk = await temporaryDirectory(t, 'berth-disk');
  await writeFile(image, '');
  await truncate(image, 128 << 20);
  await run('mkfs.ext4', ['-q', image]);
  const mounted = await run('mount', ['-o', 'loop', image, disk]).then(
    () => true,
    () => false,
  );
  if (!mounted) return t.skip('no loop device is available');
  cleanUp(t, () => run('umount', ['--lazy', disk]));
  const { url } = await startBerth(t, { data: join(disk, 'data') });
  const status = async (): Promise<number> => (await fetch(`${url}/readyz`)).status;
  const digest = await pushBlob(url, 'a', Buffer.from('before'));
  assert.equal(await status(), 200);
  await run('mount', ['-o', 'remount,abort', disk]);
  // Berth reuses the last answer for a second.
  assert.ok(await eventually(async () => (await status()) === 503));
  await pullBlob(url, 'a', digest);
  assert.equal((await fetch(`${url}/v2/a/blobs/uploads/`, { method: 'POST' })).status, 503);
});
