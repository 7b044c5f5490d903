import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, examine } from './consistency.ts';
import { RestartableRegistry } from './restartable.ts';
import { errorCode, finish, patch, pullBlob, pushBlob, received, startUpload } from './uploading.ts';

const bytes = randomBytes(30_000);
const digest = digestOf(bytes);
const half = bytes.subarray(0, 15_000);
const rest = bytes.subarray(15_000);

/** Starts a session with the first half of the bytes; returns its path and its staged file. */
async function halfPushed(
  registry: RestartableRegistry,
  query = '',
): Promise<{ path: string; staged: string }> {
  const session = await startUpload(registry.url, 'a', query);
  assert.equal((await patch(session, half)).status, 202);
  const path = new URL(session).pathname;
  return { path, staged: join(registry.data, 'uploads', path.split('/').at(-1) as string) };
}

for (const [query, algorithm] of [
  ['', 'sha256'],
  ['', 'sha512'],
  ['?digest-algorithm=sha512', 'sha512'],
  ['?digest-algorithm=sha512', 'sha256'],
] as const) {
  test(`a session ${query} continues after a restart between any two requests and stores a ${algorithm} blob`, async (t) => {
    const registry = await RestartableRegistry.open(t);
    const { path } = await halfPushed(registry, query);
    await registry.restart();
    assert.equal(await received(registry.url + path), half.length);
    assert.equal((await patch(registry.url + path, rest, half.length)).status, 202);
    await registry.restart();
    const wanted = digestOf(bytes, algorithm);
    assert.equal((await finish(registry.url + path, wanted)).status, 201);
    await registry.restart();
    assert.ok((await pullBlob(registry.url, 'a', wanted)).equals(bytes));
  });
}

const losses: [what: string, lose: (staged: string) => void][] = [
  ['is missing', (staged) => rmSync(staged)],
  ['is truncated', (staged) => truncateSync(staged, half.length - 1)],
  ['is empty', (staged) => truncateSync(staged, 0)],
  ['holds other bytes', (staged) => writeFileSync(staged, randomBytes(statSync(staged).size))],
];

for (const [what, lose] of losses) {
  for (const request of ['PATCH', 'PUT with the rest', 'PUT of what was sent'] as const) {
    test(`a session whose staged file ${what} after a restart is BLOB_UPLOAD_UNKNOWN for a ${request}`, async (t) => {
      const registry = await RestartableRegistry.open(t);
      const { path, staged } = await halfPushed(registry);
      await registry.restart(() => lose(staged));
      const session = registry.url + path;
      const send = {
        PATCH: () => patch(session, rest, half.length),
        'PUT with the rest': () => finish(session, digest, rest),
        'PUT of what was sent': () => finish(session, digestOf(half)),
      };
      const response = await send[request]();
      assert.equal(response.status, 404);
      assert.equal(await errorCode(response), 'BLOB_UPLOAD_UNKNOWN');
      assert.equal(await received(session), undefined);

      await pushBlob(registry.url, 'a', bytes);
      await pullBlob(registry.url, 'a', digest);
      assert.deepEqual(examine(registry.data), { problems: [], orphanUploads: [], orphanBlobs: [] });
    });
  }
}

test('a session continues at its recorded size when its staged file is longer', async (t) => {
  const registry = await RestartableRegistry.open(t);
  const { path, staged } = await halfPushed(registry);
  await registry.restart(() => writeFileSync(staged, 'written, and never acknowledged', { flag: 'a' }));
  assert.equal(await received(registry.url + path), half.length);
  assert.equal((await finish(registry.url + path, digest, rest)).status, 201);
  await pullBlob(registry.url, 'a', digest);
});
