import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../support/command.ts';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { ballastSize, makeBallast } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('curl resumes a cut download', async (t) => {
  if (!needs(t, 'curl')) return;
  const berth = await startBerth(t);
  const proxy = await startCountingProxy(t, berth.host);
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'blob');

  const blob = makeBallast();
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
  const session = await fetch(`${berth.url}/v2/curl/blob/blobs/uploads/`, { method: 'POST' });
  const location = new URL(session.headers.get('location')!, berth.url);
  location.searchParams.set('digest', digest);
  const put = await fetch(location, {
    method: 'PUT',
    body: blob,
    headers: { 'content-type': 'application/octet-stream' },
  });
  assert.equal(put.status, 201);

  const download = (...options: string[]) =>
    run('curl', [
      '--silent',
      '--fail',
      '--output',
      file,
      ...options,
      `http://${proxy.host}/v2/curl/blob/blobs/${digest}`,
    ]);

  const wasCut = proxy.cutAfter(ballastSize / 2);
  await assert.rejects(download());
  assert.ok(wasCut());
  const { size: kept } = await stat(file);
  assert.ok(kept > 0 && kept < ballastSize, `a part arrived: ${kept} bytes`);

  let status = '';
  const rest = await proxy.measure(async () => {
    status = await download('--continue-at', '-', '--write-out', '%{http_code}');
  });
  assert.equal(status, '206');
  assert.ok(rest.received < ballastSize - kept + 4096, `only the rest crossed: ${rest.received} bytes`);
  assert.ok(blob.equals(await readFile(file)));
});
