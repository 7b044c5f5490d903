import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { testRegistry } from '../support/registry.ts';
import { digestOf, examine, openSessions } from './consistency.ts';
import { eventually } from './descriptors.ts';
import { RawConnection } from './raw-connection.ts';
import { finish, getBlob, patch, pullBlob, pushBlob, received, startUpload } from './uploading.ts';

const bytes = randomBytes(200_000);
const digest = digestOf(bytes);
/** Numbers of bytes of the body before the cut. */
const cuts = [0, 2, 100_000, bytes.length - 1];

type Framing = 'Content-Length' | 'chunked';
type End = 'closed' | 'reset';

/** Sends `whole` up to `cut` and ends the connection; returns the status of the answer, if there is one. */
async function sendTruncated(
  url: string,
  request: { method: string; url: string; headers?: Record<string, string> },
  whole: Buffer,
  { cut, framing, end }: { cut: number; framing: Framing; end: End },
): Promise<number | undefined> {
  const connection = await RawConnection.to(url);
  const path = request.url.replace(url, '');
  const framed =
    framing === 'chunked' ? { 'transfer-encoding': 'chunked' } : { 'content-length': whole.length };
  // 100 Continue shows that the registry reads the body: it receives the bytes that are sent from then on.
  connection.request(request.method, path, { ...request.headers, ...framed, expect: '100-continue' });
  assert.equal((await connection.response())?.status, 100);
  // One chunk, whose announced size is one byte more than is sent.
  if (framing === 'chunked' && cut > 0) connection.send(`${(cut + 1).toString(16)}\r\n`);
  await new Promise<void>((resolve) => connection.socket.write(whole.subarray(0, cut), () => resolve()));
  if (end === 'closed') connection.socket.end();
  else connection.socket.resetAndDestroy();
  const response = await connection.response();
  connection.destroy();
  await connection.closed;
  return response?.status;
}

for (const framing of ['Content-Length', 'chunked'] as const) {
  for (const end of ['closed', 'reset'] as const) {
    test(`a session keeps the received bytes and can continue after its connection was ${end} within a body (${framing})`, async (t) => {
      const { app } = await testRegistry(t);
      const { url } = await app.listen();
      for (const method of ['PATCH', 'PUT']) {
        for (const cut of cuts) {
          const session = await startUpload(url, 'a');
          const target = method === 'PUT' ? `${session}?digest=${digest}` : session;
          const status = await sendTruncated(url, { method, url: target }, bytes, { cut, framing, end });
          assert.ok(status === undefined || status === 400, `${method} ${cut}: ${status}`);
          // A reset may discard bytes that the kernel has not delivered yet.
          if (end === 'closed') {
            assert.ok(await eventually(async () => (await received(session)) === cut), `${method} ${cut}`);
          }
          assert.equal((await getBlob(url, 'a', digest)).status, 404, `${method} ${cut}`);

          assert.ok(await eventually(() => resumes(session)), `${method} ${cut}`);
          await pullBlob(url, 'a', digest);
          assert.equal((await fetch(`${url}/v2/a/blobs/${digest}`, { method: 'DELETE' })).status, 202);
        }
      }
    });

    test(`a single POST or a manifest stores nothing if its connection was ${end} within the body (${framing})`, async (t) => {
      const { app, data } = await testRegistry(t);
      const { url } = await app.listen();
      const config = await pushBlob(url, 'a', Buffer.from('{}'));
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
          layers: [],
          annotations: { padding: 'x'.repeat(100_000) },
        }),
      );
      const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
      for (const cut of cuts) {
        const blob = { method: 'POST', url: `/v2/a/blobs/uploads/?digest=${digest}` };
        const tag = { method: 'PUT', url: '/v2/a/manifests/latest', headers };
        for (const [request, whole] of [
          [blob, bytes],
          [tag, manifest],
        ] as const) {
          const at = Math.min(cut, whole.length - 1);
          const status = await sendTruncated(url, request, whole, { cut: at, framing, end });
          assert.ok(status === undefined || status === 400, `${request.method} ${at}: ${status}`);
        }
      }
      assert.equal((await getBlob(url, 'a', digest)).status, 404);
      assert.equal((await fetch(`${url}/v2/a/manifests/latest`)).status, 404);
      // A broken POST ends its session.
      assert.ok(await eventually(() => openSessions(data).length === 0));
      assert.deepEqual(examine(data), { problems: [], orphanUploads: [], orphanBlobs: [] });
    });
  }
}

/** Sends the bytes that the session lacks; false while the broken request still holds its lease. */
async function resumes(session: string): Promise<boolean> {
  const have = (await received(session)) ?? 0;
  const response = await patch(session, bytes.subarray(have), have);
  if (response.status === 416) return false;
  assert.equal(response.status, 202);
  assert.equal((await finish(session, digest)).status, 201);
  return true;
}
