import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { CreateMultipartUploadCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { bucketFolder, s3Services, s3Settings, s3Store } from '../../../test/support/s3.ts';
import { type S3Proxy, startS3Proxy } from '../../../test/support/s3-proxy.ts';
import { anyKey, append, committed, describeBlobStore, newUpload, store } from '../blob-store.contract.ts';
import { type BlobStore, type StagedUpload, UploadLost } from '../blob-store.ts';
import { ForeignRegistry } from '../foreign-registry.ts';
import { StoreFull, StoreRefused, StoreUnavailable, StoreUnusable } from '../store-errors.ts';
import { S3Bucket, type S3Settings } from './bucket.ts';
import { checksumHeader } from './chain.ts';
import { openS3Store } from './s3.ts';
import { S3Uploads } from './uploads.ts';

describeBlobStore('s3', s3Store);
describeBlobStore('s3 below a prefix', (t) => s3Store(t, { prefix: 'registry/blobs/' }));
for (const service of ['minio', 'seaweedfs'] as const) {
  describeBlobStore(service, (t) => s3Store(t, {}, service));
}

const MiB = 1 << 20;
/** Short, but ample for loopback. */
const limits = { connectionTimeout: 1000, idleTimeout: 500, maxAttempts: 3 };

interface Faulty {
  readonly blobs: BlobStore;
  readonly proxy: S3Proxy;
  readonly settings: S3Settings;
}

/** A store that reaches its bucket through a proxy that injects faults. */
async function faultyStore(t: TestContext): Promise<Faulty | undefined> {
  const settings = await s3Settings(t);
  if (settings === undefined) return undefined;
  const proxy = await startS3Proxy(t, settings.endpoint as string);
  const blobs = await openS3Store({ ...settings, endpoint: proxy.endpoint }, { limits });
  cleanUp(t, () => blobs.close());
  return { blobs, proxy, settings };
}

async function filesOf(settings: S3Settings, folder = ''): Promise<string[]> {
  const path = join(await bucketFolder(settings), folder);
  if (!existsSync(path)) return [];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const chunkings: [what: string, sizes: number[]][] = [
  ['1 byte', [1]],
  ['5 MiB less 1', [5 * MiB - 1]],
  ['5 MiB', [5 * MiB]],
  ['5 MiB and 1', [5 * MiB + 1]],
  ['1 byte, then 6 MiB', [1, 6 * MiB]],
  ['6 MiB, 1 byte, 6 MiB', [6 * MiB, 1, 6 * MiB]],
  ['5 MiB less 1, twice', [5 * MiB - 1, 5 * MiB - 1]],
  ['40 MiB', [40 * MiB]],
  ['100 small ones and 6 MiB', [...Array.from({ length: 100 }, () => 11), 6 * MiB]],
];

/** Uploads random bytes in chunks of these sizes. */
async function appendChunks(
  blobs: BlobStore,
  sizes: readonly number[],
): Promise<{ upload: StagedUpload; bytes: Buffer }> {
  const bytes = randomBytes(sizes.reduce((sum, size) => sum + size, 0));
  let upload = newUpload();
  for (const size of sizes) {
    const before = upload;
    upload = await append(blobs, before, bytes.subarray(before.size, before.size + size));
    await blobs.abort(before, upload.staged);
  }
  return { upload, bytes };
}

for (const service of s3Services) {
  for (const [what, sizes] of chunkings) {
    test(`${service}: an upload in chunks of ${what} has all its bytes in order`, async (t) => {
      const blobs = await s3Store(t, {}, service);
      if (blobs === undefined) return;
      const { upload, bytes } = await appendChunks(blobs, sizes);
      const key = anyKey();
      await blobs.commit(upload, key);
      await blobs.abort(upload);
      assert.ok((await committed(blobs, key))?.equals(bytes));
      for await (const { name } of blobs.listUploads()) assert.fail(`${name} was left behind`);
    });
  }
}

test('a staged stream destroyed before it is read leaves no connection open', async (t) => {
  const blobs = await s3Store(t);
  if (blobs === undefined) return;
  const upload = await append(blobs, newUpload(), randomBytes(3 * MiB));
  const stream = await blobs.readUpload(upload);
  stream.destroy();
  await new Promise((resolve) => stream.once('close', resolve));
});

test("refuses another registry's bucket, except for inspection, until Berth has marked it", async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  await mkdir(join(await bucketFolder(settings), 'docker/registry/v2/repositories/a'), { recursive: true });
  const blobs = await openS3Store(settings);
  await blobs.close();
  await writeFile(join(await bucketFolder(settings), 'docker/registry/v2/repositories/a/link'), 'x');
  await assert.rejects(openS3Store(settings), ForeignRegistry);
  const inspecting = await openS3Store(settings, { inspectOnly: true });
  await inspecting.writeMarker('{}');
  await inspecting.close();
  await (await openS3Store(settings)).close();
});

for (const [what, change, reason] of [
  ['a missing bucket', { bucket: 'no-such-bucket' }, /bucket no-such-bucket at http:.*does not exist/],
  ['a wrong secret', { secretAccessKey: 'not-the-secret' }, /the credentials are wrong/],
  [
    'an endpoint without a server',
    { endpoint: 'http://127.0.0.1:1' },
    /at http:\/\/127\.0\.0\.1:1: ECONNREFUSED/,
  ],
] as [string, Partial<S3Settings>, RegExp][]) {
  test(`${what} ends the start with a one-line error without secrets`, async (t) => {
    const settings = await s3Settings(t, change);
    if (settings === undefined) return;
    await assert.rejects(openS3Store(settings, { limits }), (error: Error) => {
      assert.ok(error instanceof StoreUnusable);
      assert.match(error.message, reason);
      assert.doesNotMatch(error.message, /secret\b|\n/);
      return true;
    });
  });
}

test('resumes a pull whose connection breaks repeatedly', async (t) => {
  const faulty = await faultyStore(t);
  if (faulty === undefined) return;
  const bytes = randomBytes(4 * MiB);
  const key = await store(faulty.blobs, bytes);
  let breaks = 0;
  faulty.proxy.rule = ({ method }) => (method === 'GET' && breaks++ < 3 ? 'cut body' : undefined);
  assert.ok((await committed(faulty.blobs, key))?.equals(bytes));
  assert.equal(breaks, 4);
  breaks = 0;
  const range = { start: 1000, end: 3 * MiB };
  const part = await faulty.blobs.read(key, range);
  assert.ok(part && 'stream' in part);
  assert.ok((await buffer(part.stream)).equals(bytes.subarray(range.start, range.end + 1)));
});

test('fails a pull whose connection breaks too often, or whose object was replaced meanwhile', async (t) => {
  const faulty = await faultyStore(t);
  if (faulty === undefined) return;
  const { blobs, proxy } = faulty;
  // More than the stream buffers, so that it breaks while it is read.
  const key = await store(blobs, randomBytes(8 * MiB));
  proxy.rule = ({ method }) => (method === 'GET' ? 'cut body' : undefined);
  await assert.rejects(committed(blobs, key), StoreUnavailable);
  let first = true;
  proxy.rule = ({ method }) => {
    const fault = method === 'GET' && first ? 'cut body' : undefined;
    if (method === 'GET') first = false;
    return fault;
  };
  const opened = await blobs.read(key);
  assert.ok(opened && 'stream' in opened);
  proxy.rule = () => undefined;
  await store(blobs, randomBytes(8 * MiB), key);
  await assert.rejects(buffer(opened.stream), StoreUnavailable);
});

for (const fault of [
  'slow down',
  'internal error',
  'reset',
  'lost answer',
  'silence',
  'error in 200',
] as const) {
  test(`a commit of several segments succeeds although each call fails once with '${fault}'`, async (t) => {
    const faulty = await faultyStore(t);
    if (faulty === undefined) return;
    const { blobs, proxy } = faulty;
    const bytes = randomBytes(11 * MiB);
    let upload = await append(blobs, newUpload(), bytes.subarray(0, 5 * MiB));
    upload = await append(blobs, upload, bytes.subarray(5 * MiB));
    // An error in a 200 response needs a body.
    const concerned = ({ method, url }: { method: string; url: string }): boolean =>
      fault !== 'error in 200' ? method !== 'DELETE' : /uploadId=/.test(url) && method !== 'DELETE';
    const failed = new Set<string>();
    proxy.rule = (call) => {
      const name = `${call.method} ${call.url}`;
      if (!concerned(call) || failed.has(name)) return undefined;
      failed.add(name);
      return fault;
    };
    const key = anyKey();
    await blobs.commit(upload, key);
    proxy.rule = () => undefined;
    assert.ok(failed.size >= 3, [...failed].join(', '));
    assert.ok((await committed(blobs, key))?.equals(bytes));
  });
}

test('a failed commit leaves no multipart upload and succeeds when repeated', async (t) => {
  const faulty = await faultyStore(t);
  if (faulty === undefined) return;
  const { blobs, proxy } = faulty;
  const bytes = randomBytes(11 * MiB);
  let upload = await append(blobs, newUpload(), bytes.subarray(0, 5 * MiB));
  upload = await append(blobs, upload, bytes.subarray(5 * MiB));
  proxy.rule = ({ method, url }) =>
    method === 'POST' && /uploadId=/.test(url) ? 'internal error' : undefined;
  const key = anyKey();
  await assert.rejects(blobs.commit(upload, key), StoreUnavailable);
  proxy.rule = () => undefined;
  assert.equal(await blobs.deleteInterruptedCommits?.(Date.now() + 60_000), 0);
  assert.equal(await blobs.stat(key), undefined);
  await blobs.commit(upload, key);
  assert.ok((await committed(blobs, key))?.equals(bytes));
});

/** Chunks too short to be copied as parts: every part of the blob is sent. */
const sent = Array.from({ length: 4 }, () => 3 * MiB);

test('a blob whose parts are all sent has a full-object checksum', async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const blobs = await openS3Store(settings);
  cleanUp(t, () => blobs.close());
  const { upload, bytes } = await appendChunks(blobs, sent);
  const key = anyKey();
  await blobs.commit(upload, key);
  const bucket = new S3Bucket(settings);
  cleanUp(t, () => bucket.close());
  const found = await bucket.send(
    new HeadObjectCommand({ Bucket: bucket.name, Key: key, ChecksumMode: 'ENABLED' }),
  );
  assert.deepEqual([found.ChecksumType, found.ChecksumCRC32], ['FULL_OBJECT', checksumHeader(crc32(bytes))]);
});

test('commits without a full-object checksum when the service does not support it', async (t) => {
  const faulty = await faultyStore(t);
  if (faulty === undefined) return;
  const { blobs, proxy } = faulty;
  let refused = 0;
  proxy.rule = ({ headers }) => {
    if (headers['x-amz-checksum-algorithm'] === undefined) return undefined;
    refused += 1;
    return 'not implemented';
  };
  const { upload, bytes } = await appendChunks(blobs, sent);
  const key = anyKey();
  await blobs.commit(upload, key);
  assert.ok((await committed(blobs, key))?.equals(bytes));
  assert.equal(refused, 1);
});

for (const [fault, remedy] of [
  ['access denied', /UploadPartCopy failed \(AccessDenied, status 403.*; check the credentials/],
  ['missing content length', /status 411.*; check whether the service supports this call/],
  ['not implemented', /status 501.*; check whether the service supports this call/],
] as const) {
  test(`a commit and pings report a call refused with '${fault}' until it succeeds`, async (t) => {
    const faulty = await faultyStore(t);
    if (faulty === undefined) return;
    const { blobs, proxy } = faulty;
    const { upload, bytes } = await appendChunks(blobs, [6 * MiB, 6 * MiB]);
    proxy.rule = ({ headers }) => (headers['x-amz-copy-source'] ? fault : undefined);
    const key = anyKey();
    const refusal = (error: Error): boolean => error instanceof StoreRefused && remedy.test(error.message);
    await assert.rejects(blobs.commit(upload, key), refusal);
    await assert.rejects(blobs.ping(), refusal);
    proxy.rule = () => undefined;
    await blobs.commit(upload, key);
    await blobs.ping();
    assert.ok((await committed(blobs, key))?.equals(bytes));
  });
}

test('deletes old multipart uploads below its prefix only', async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const blobs = await openS3Store({ ...settings, prefix: 'mine/' });
  const bucket = new S3Bucket(settings);
  cleanUp(t, () => Promise.all([blobs.close(), bucket.close()]));
  for (const key of [`mine/${anyKey()}`, 'mine/uploads/u/s', 'theirs/object']) {
    await bucket.send(new CreateMultipartUploadCommand({ Bucket: settings.bucket, Key: key }));
  }
  assert.equal(await blobs.deleteInterruptedCommits?.(Date.now() - 60_000), 0);
  assert.equal(await blobs.deleteInterruptedCommits?.(Date.now() + 60_000), 2);
  assert.equal(await blobs.deleteInterruptedCommits?.(Date.now() + 60_000), 0);
});

for (const [what, damage] of [
  ['without a last page', (xml: string) => xml.replace(/<IsTruncated>.*?</, '<IsTruncated>true<')],
  [
    'that repeats a page',
    (xml: string) =>
      xml.replace(
        /<IsTruncated>.*?</,
        '<NextContinuationToken>again</NextContinuationToken><IsTruncated>true<',
      ),
  ],
] as const) {
  test(`a listing ${what} fails instead of ending early`, async (t) => {
    const faulty = await faultyStore(t);
    if (faulty === undefined) return;
    const key = await store(faulty.blobs, 'bytes');
    faulty.proxy.listing = damage;
    const names: string[] = [];
    await assert.rejects(async () => {
      for await (const { name } of faulty.blobs.list()) names.push(name);
    }, StoreUnavailable);
    assert.ok(names.every((name) => name === key));
  });
}

test('a deleted bucket is an error, not an absent blob', async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const blobs = await openS3Store(settings, { limits });
  cleanUp(t, () => blobs.close());
  await rm(await bucketFolder(settings), { recursive: true });
  await assert.rejects(blobs.stat(anyKey()), StoreRefused);
  await assert.rejects(blobs.read(anyKey()), StoreRefused);
  await assert.rejects(blobs.ping(), StoreRefused);
});

test('a failed append deletes the objects that it wrote', async (t) => {
  const faulty = await faultyStore(t);
  if (faulty === undefined) return;
  const { blobs, proxy, settings } = faulty;
  let puts = 0;
  proxy.rule = ({ method }) => (method === 'PUT' && ++puts > 1 ? 'internal error' : undefined);
  await assert.rejects(append(blobs, newUpload(), randomBytes(40 * MiB)), StoreUnavailable);
  proxy.rule = () => undefined;
  assert.deepEqual(await filesOf(settings, 'uploads'), []);
});

test('commit, adopt and readUpload throw UploadLost when a segment is missing', async (t) => {
  const blobs = await s3Store(t);
  if (blobs === undefined) return;
  const upload = await append(blobs, newUpload(), 'one');
  for await (const { name } of blobs.listUploads()) await blobs.deleteStaged(name);
  const key = anyKey();
  await assert.rejects(blobs.commit(upload, key), UploadLost);
  await assert.rejects(blobs.adopt(upload), UploadLost);
  await assert.rejects(blobs.readUpload(upload), UploadLost);
  assert.equal(await blobs.stat(key), undefined);
});

test('an exceeded bucket quota is StoreFull with code ENOSPC', async (t) => {
  const faulty = await faultyStore(t);
  if (faulty === undefined) return;
  const { blobs, proxy } = faulty;
  proxy.rule = ({ method }) => (method === 'PUT' ? 'quota exceeded' : undefined);
  await assert.rejects(append(blobs, newUpload(), 'one'), (error: Error) => {
    assert.ok(error instanceof StoreFull);
    assert.equal(error.code, 'ENOSPC');
    return true;
  });
});

test('stores every object with the configured encryption and storage class', async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const proxy = await startS3Proxy(t, settings.endpoint as string);
  const asked = { serverSideEncryption: 'aws:kms', kmsKeyId: 'key', storageClass: 'STANDARD_IA' } as const;
  const blobs = await openS3Store({ ...settings, ...asked, endpoint: proxy.endpoint }, { limits });
  cleanUp(t, () => blobs.close());
  const one = await append(blobs, newUpload(), 'one');
  const two = await append(blobs, await append(blobs, newUpload(), randomBytes(6 * MiB)), 'more');
  // A copy, a multipart upload and a PUT.
  for (const upload of [one, two, newUpload()]) await blobs.commit(upload, anyKey());
  const making = proxy.calls.filter(
    ({ method, url }) => method === 'PUT' || (method === 'POST' && /[?&]uploads/.test(url)),
  );
  const whole = making.filter(({ url }) => !/partNumber/.test(url));
  assert.ok(whole.length >= 4);
  for (const { method, url, headers } of whole) {
    assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms', `${method} ${url}`);
    assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'key');
    assert.equal(headers['x-amz-storage-class'], 'STANDARD_IA');
  }
});

test('two hundred slow uploads stay within the memory limit', async (t) => {
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const bucket = new S3Bucket(settings);
  cleanUp(t, () => bucket.close());
  const memoryLimit = 32 * MiB;
  const uploads = new S3Uploads(bucket, memoryLimit);
  const chunk = randomBytes(64 << 10);
  const bodies = Array.from({ length: 200 }, () => new PassThrough());
  const appending = bodies.map((body) => uploads.append(newUpload(), body, { tap: () => {} }));
  let most = 0;
  for (let round = 0; round < 16; round++) {
    for (const body of bodies) {
      body.write(chunk);
      most = Math.max(most, uploads.memoryUsed);
    }
    await new Promise(setImmediate);
  }
  for (const body of bodies) body.end();
  const ended = await Promise.all(appending);
  assert.ok(ended.every(({ size }) => size === 16 * chunk.length));
  assert.ok(most > memoryLimit / 4, `${most} bytes at most`);
  assert.ok(most <= memoryLimit + 200 * chunk.length, `${most} bytes at most`);
  assert.equal(uploads.memoryUsed, 0);
});
