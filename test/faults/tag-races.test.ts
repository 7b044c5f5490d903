import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testRegistry } from '../support/registry.ts';
import { digestOf, examine } from './consistency.ts';
import { beginPull, largeBlob } from './stalled-pull.ts';
import { pushBlob } from './uploading.ts';

const mediaType = 'application/vnd.oci.image.manifest.v1+json';

function manifest(config: string, annotations: Record<string, string>): Buffer<ArrayBuffer> {
  const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 };
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType, config: descriptor, layers: [], annotations }),
  );
}

function putTag(url: string, tag: string, body: Buffer<ArrayBuffer>, conditions = {}): Promise<Response> {
  const headers = { 'content-type': mediaType, ...conditions };
  return fetch(`${url}/v2/a/manifests/${tag}`, { method: 'PUT', headers, body });
}

test('100 writers move one tag: each gets 201, and every reader gets a complete manifest of one of them', async (t) => {
  const { app, data } = await testRegistry(t);
  const { url } = await app.listen();
  const config = await pushBlob(url, 'a', Buffer.from('{}'));
  const manifests = Array.from({ length: 10 }, (_, i) => manifest(config, { number: String(i) }));
  const digests = new Set(manifests.map((bytes) => digestOf(bytes)));
  await putTag(url, 'latest', manifests[0] as Buffer<ArrayBuffer>);

  const read = async (): Promise<string> => {
    const response = await fetch(`${url}/v2/a/manifests/latest`);
    assert.equal(response.status, 200);
    const digest = digestOf(await response.bytes());
    assert.equal(response.headers.get('docker-content-digest'), digest);
    assert.ok(digests.has(digest));
    return digest;
  };
  const writes = Array.from({ length: 100 }, (_, i) =>
    putTag(url, 'latest', manifests[i % 10] as Buffer<ArrayBuffer>),
  );
  const reads = Array.from({ length: 100 }, read);
  for (const response of await Promise.all(writes)) assert.equal(response.status, 201);
  await Promise.all(reads);
  await read();
  assert.deepEqual(examine(data).problems, []);
});

test('20 writers that each add to the current manifest, with If-Match, lose no update', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const config = await pushBlob(url, 'a', Buffer.from('{}'));
  await putTag(url, 'log', manifest(config, {}), { 'if-none-match': '*' });
  let refused = 0;
  const add = async (writer: number): Promise<void> => {
    for (;;) {
      const current = await fetch(`${url}/v2/a/manifests/log`);
      const { annotations } = (await current.json()) as { annotations: Record<string, string> };
      const next = manifest(config, { ...annotations, [`writer-${writer}`]: 'was here' });
      const response = await putTag(url, 'log', next, { 'if-match': current.headers.get('etag') });
      if (response.status === 201) return;
      assert.equal(response.status, 412);
      refused += 1;
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => add(i)));
  const { annotations } = (await (await fetch(`${url}/v2/a/manifests/log`)).json()) as {
    annotations: Record<string, string>;
  };
  assert.equal(Object.keys(annotations).length, 20);
  assert.ok(refused > 0, 'no two writers conflicted');
});

test('of 20 writers that create a tag with If-None-Match, exactly one succeeds', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const config = await pushBlob(url, 'a', Buffer.from('{}'));
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      putTag(url, 'first', manifest(config, { number: String(i) }), { 'if-none-match': '*' }),
    ),
  );
  const statuses = answers.map((answer) => answer.status).sort();
  assert.deepEqual(statuses, [201, ...Array(19).fill(412)]);
});

test('a running pull completes although its blob is deleted', async (t) => {
  const { app, data } = await testRegistry(t);
  const { url } = await app.listen();
  const bytes = Buffer.alloc(largeBlob, 'whole');
  const digest = await pushBlob(url, 'a', bytes);
  const connection = await beginPull(url, data, `/v2/a/blobs/${digest}`);
  assert.equal((await fetch(`${url}/v2/a/blobs/${digest}`, { method: 'DELETE' })).status, 202);
  assert.equal((await fetch(`${url}/v2/a/blobs/${digest}`)).status, 404);
  connection.socket.resume();
  assert.ok((await connection.response())?.body.equals(bytes));
  connection.destroy();
});
