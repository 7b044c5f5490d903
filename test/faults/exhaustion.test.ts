import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from './descriptors.ts';
import { RawConnection } from './raw-connection.ts';
import { pullBlob, pushBlob } from './uploading.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

test('a process out of descriptors lives, and serves again when they come back', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'berth-test-'));
  const command = 'ulimit -n 128 && exec "$0" "$@"';
  const arguments_ = [
    process.execPath,
    main,
    'serve',
    '--listen',
    '127.0.0.1:0',
    '--data',
    data,
    '--log-format',
    'json',
  ];
  const child = spawn('sh', ['-c', command, ...arguments_], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(data, { recursive: true, force: true });
  });
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      const found = /listening on (http:\/\/[\d.:]+)/.exec(output)?.[1];
      if (found) resolve(found);
    });
    child.on('exit', () => reject(new Error(output)));
  });
  const digest = await pushBlob(url, 'a', Buffer.from('before'));
  // A connection that was there before: its requests find no descriptor for a file.
  const waiting = await RawConnection.to(url);

  const flood = await Promise.all(Array.from({ length: 300 }, () => RawConnection.to(url)));
  assert.ok(await eventually(() => flood.some((connection) => !connection.isOpen)), 'nobody was turned away');
  waiting.request('GET', `/v2/a/blobs/${digest}`);
  const answer = await waiting.response();
  assert.equal(answer?.status, 503);
  assert.ok(answer.headers['retry-after']);
  for (const connection of [waiting, ...flood]) connection.destroy();

  assert.ok(await eventually(async () => (await fetch(`${url}/v2/`).catch(() => undefined))?.status === 200));
  await pullBlob(url, 'a', digest);
  await pullBlob(url, 'a', await pushBlob(url, 'a', Buffer.from('after')));
  assert.equal(child.exitCode, null);
});
