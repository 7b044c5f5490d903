import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startChild } from '../support/child.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { eventually } from './descriptors.ts';
import { RawConnection } from './raw-connection.ts';
import { pullBlob, pushBlob } from './uploading.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

test('survives running out of file descriptors and serves again when some are free', async (t) => {
  const data = await temporaryDirectory(t);
  const serve = [
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
  const child = await startChild(t, {
    command: 'sh',
    args: ['-c', 'ulimit -n 128 && exec "$0" "$@"', ...serve],
    env: process.env,
    ready: /listening on (http:\/\/[\d.:]+)/,
  });
  const url = child.ready[1] as string;
  const digest = await pushBlob(url, 'a', Buffer.from('before'));
  // This connection exists before the flood: its requests find no descriptor for a file.
  const waiting = await RawConnection.to(url);

  const flood = await Promise.all(Array.from({ length: 300 }, () => RawConnection.to(url)));
  assert.ok(
    await eventually(() => flood.some((connection) => !connection.isOpen)),
    'no connection was refused',
  );
  waiting.request('GET', `/v2/a/blobs/${digest}`);
  assert.ok(await eventually(() => /limit of open files reached/.test(child.output())));
  const answer = await waiting.response();
  assert.equal(answer?.status, 503);
  assert.ok(answer.headers['retry-after']);
  for (const connection of [waiting, ...flood]) connection.destroy();

  assert.ok(await eventually(async () => (await fetch(`${url}/v2/`).catch(() => undefined))?.status === 200));
  await pullBlob(url, 'a', digest);
  await pullBlob(url, 'a', await pushBlob(url, 'a', Buffer.from('after')));
  assert.deepEqual(await child.stop(), { code: 0, signal: null });
});
