// end-2 with redirects to the store.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { openAccess } from '../../test/support/people.ts';
import { s3Settings } from '../../test/support/s3.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { Blobs } from '../core/blobs.ts';
import type { Clock } from '../core/clock.ts';
import { Manifests } from '../core/manifests.ts';
import { Uploads } from '../core/uploads.ts';
import { system } from '../db/changes.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { clientsOf } from '../http/client.ts';
import type { Network } from '../http/networks.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { openS3Store } from '../storage/s3/s3.ts';
import { registryApi } from './api.ts';
import { type RedirectPolicy, redirectsOf } from './redirects.ts';

const bytes = randomBytes(1000);
const digest = digestOf(bytes);
const empty = Buffer.alloc(0);
const everybody: RedirectPolicy = { redirect: true, streamTo: [] };

function digestOf(content: Buffer): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(content).digest('hex')}`);
}

/** A registry with two blobs, `bytes` and `empty`; returns the URL of the first. */
async function serve(
  t: TestContext,
  store: BlobStore,
  policy: RedirectPolicy,
  { trustedProxies = [], clock = Date.now }: { trustedProxies?: readonly Network[]; clock?: Clock } = {},
): Promise<string> {
  const database = await openSqlite(join(await temporaryDirectory(t), 'berth.db'));
  const parts = { database, store, clock };
  const blobs = new Blobs(parts);
  const uploads = new Uploads({ ...parts, blobs });
  const name = parseName('a');
  const owner = 'anonymous';
  for (const content of [bytes, empty]) {
    const { id } = await uploads.start(name, 'sha256', owner);
    await uploads.finish(
      { name, id, owner },
      digestOf(content),
      { open: () => Readable.from([content]) },
      { by: system },
    );
  }
  const api = registryApi({
    ...parts,
    blobs,
    uploads,
    pulls: { record() {} },
    manifests: new Manifests({ ...parts, missingReferences: 'none', immutableTags: [] }),
    clientOf: clientsOf(trustedProxies),
    access: openAccess(database),
    tokenServer: { service: 'berth', realmFor: () => '' },
    maxManifestSize: 1 << 20,
    deletesEnabled: true,
    redirects: redirectsOf(policy),
    observe: () => {},
  });
  const server = createServer((request, response) => api(request, response, randomUUID()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await database.close();
    await store.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/a/blobs/${digest}`;
}

function redirectingStore(): BlobStore {
  return { ...openMemoryStore(), redirectUrl: async (key) => `https://bucket.example/${key}?signature` };
}

function get(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return fetch(url, { method, headers, redirect: 'manual' });
}

for (const [what, headers] of [
  ['a whole blob', {}],
  ['one range', { range: 'bytes=10-19' }],
] as [string, Record<string, string>][]) {
  test(`a pull of ${what} is redirected to the store`, async (t) => {
    const response = await get(await serve(t, redirectingStore(), everybody), headers);
    assert.equal(response.status, 307);
    assert.match(
      response.headers.get('location') ?? '',
      /^https:\/\/bucket\.example\/docker\/.*\?signature$/,
    );
    assert.equal(response.headers.get('docker-content-digest'), digest);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal(response.headers.get('content-length'), '0');
  });
}

for (const [what, method, headers, status] of [
  ['HEAD', 'HEAD', {}, 200],
  ['a pull of several ranges', 'GET', { range: 'bytes=0-1,5-6' }, 206],
  ['an unsatisfiable range', 'GET', { range: 'bytes=1000-' }, 416],
  ['a client that has the bytes', 'GET', { 'if-none-match': `"${digest}"` }, 304],
] as [string, string, Record<string, string>, number][]) {
  test(`${what} is answered by Berth`, async (t) => {
    const response = await get(await serve(t, redirectingStore(), everybody), headers, method);
    assert.equal(response.status, status);
    assert.equal(response.headers.get('location'), null);
  });
}

test('an empty blob is not redirected: the store would refuse the range that the client repeats', async (t) => {
  const url = (await serve(t, redirectingStore(), everybody)).replace(digest, digestOf(empty));
  for (const headers of [{}, { range: 'bytes=0-' }, { range: 'bytes=-1' }] as Record<string, string>[]) {
    assert.equal((await get(url, headers)).status, 200);
  }
});

const loopback = { address: '127.0.0.0', prefix: 8, family: 'ipv4' } as const;
for (const [what, store, policy] of [
  ['a client of a network that is streamed to', redirectingStore, { redirect: true, streamTo: [loopback] }],
  ['any client when redirects are off', redirectingStore, { redirect: false, streamTo: [] }],
  ['any client of a store that cannot redirect', openMemoryStore, everybody],
] as [string, () => BlobStore, RedirectPolicy][]) {
  test(`${what} gets the bytes from Berth`, async (t) => {
    const response = await get(await serve(t, store(), policy));
    assert.equal(response.status, 200);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytes));
  });
}

test('behind a trusted proxy the network of the client counts, not that of the proxy', async (t) => {
  const inner = { address: '192.0.2.0', prefix: 24, family: 'ipv4' } as const;
  const policy = { redirect: true, streamTo: [inner] };
  const behind = await serve(t, redirectingStore(), policy, { trustedProxies: [loopback] });
  assert.equal((await get(behind, { 'x-forwarded-for': '192.0.2.7' })).status, 200);
  assert.equal((await get(behind, { 'x-forwarded-for': '198.51.100.7' })).status, 307);
  const direct = await serve(t, redirectingStore(), policy);
  assert.equal(
    (await get(direct, { 'x-forwarded-for': '192.0.2.7' })).status,
    307,
    'X-Forwarded-For of an untrusted client is ignored',
  );
});

test('a presigned URL of a bucket returns exactly the bytes, whole or a range, as a download', async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const url = await serve(t, await openS3Store(settings), everybody);
  const location = (await get(url)).headers.get('location') as string;
  const whole = await fetch(location);
  assert.equal(whole.status, 200);
  assert.equal(whole.headers.get('content-type'), 'application/octet-stream');
  assert.equal(whole.headers.get('content-disposition'), 'attachment');
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes));
  const part = await fetch(location, { headers: { range: 'bytes=10-19' } });
  assert.equal(part.status, 206);
  assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(10, 20)));
  assert.equal(new URL(location).searchParams.get('X-Amz-Expires'), '300');
  const other = location.replace(digest.slice(-8), '00000000');
  assert.equal((await fetch(other)).status, 403, 'the signature is for one key only');
  assert.equal(
    (await fetch(location, { method: 'DELETE' })).status,
    403,
    'the signature is for reading only',
  );
});

test('the CDN URL replaces scheme, host and path prefix', async (t) => {
  const settings = await s3Settings(t, { cdnUrl: 'https://cdn.example/images' });
  if (settings === undefined) return;
  const url = await serve(t, await openS3Store(settings), everybody);
  const location = (await get(url)).headers.get('location') as string;
  assert.match(
    location,
    new RegExp(`^https://cdn\\.example/images/${settings.bucket}/docker/.*X-Amz-Signature=`),
  );
});

test('a presigned URL is valid from a machine whose clock is wrong', async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const clock = Date.now;
  t.mock.timers.enable({ apis: ['Date'], now: clock() - 7_200_000 });
  const url = await serve(t, await openS3Store(settings), everybody, { clock });
  const location = (await get(url)).headers.get('location') as string;
  assert.equal((await fetch(location)).status, 200);
});
