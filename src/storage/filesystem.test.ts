import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { parseDigest } from '../oci/digest.ts';
import { anyKey, append, committed, describeBlobStore, newUpload, store } from './blob-store.contract.ts';
import { type BlobStore, blobKey } from './blob-store.ts';
import { type Files, files as nodeFiles } from './files.ts';
import { openFilesystemStore } from './filesystem.ts';
import { ForeignRegistry } from './foreign-registry.ts';

describeBlobStore('filesystem', async (t) => openFilesystemStore(await temporaryDirectory(t)));

async function openWith(t: TestContext, calls: Partial<Files>): Promise<{ blobs: BlobStore; root: string }> {
  const root = await temporaryDirectory(t);
  return { root, blobs: await openFilesystemStore(root, { ...nodeFiles, ...calls }) };
}

function failing(code: string): () => Promise<never> {
  return async () => {
    throw Object.assign(new Error(code), { code });
  };
}

test('stores a blob at the path of CNCF distribution', async (t) => {
  const { blobs, root } = await openWith(t, {});
  const digest = parseDigest(`sha256:ab${'0'.repeat(62)}`);
  await store(blobs, 'bytes', blobKey(digest, 0));
  const path = join(root, 'docker/registry/v2/blobs/sha256/ab', `ab${'0'.repeat(62)}`, 'data');
  assert.equal(await readFile(path, 'utf8'), 'bytes');
});

test('a reopened store has its blobs and uploads', async (t) => {
  const { blobs, root } = await openWith(t, {});
  const key = await store(blobs, 'bytes');
  const upload = await append(blobs, newUpload(), 'one');
  const again = await openFilesystemStore(root);
  assert.equal((await committed(again, key))?.toString(), 'bytes');
  assert.equal((await append(again, upload, 'two')).size, 6);
});

test('a listing includes files that are not blobs', async (t) => {
  const { blobs, root } = await openWith(t, {});
  const key = await store(blobs, 'bytes');
  await writeFile(join(root, 'docker/registry/v2/blobs/.DS_Store'), '');
  await mkdir(join(root, 'docker/registry/v2/blobs/sha256/empty'), { recursive: true });
  const names: string[] = [];
  for await (const { name } of blobs.list()) names.push(name);
  assert.deepEqual(names.sort(), ['docker/registry/v2/blobs/.DS_Store', key].sort());
});

for (const code of ['EACCES', 'EIO', 'EMFILE', 'ENOTDIR']) {
  test(`a failed lookup (${code}) is thrown, never taken for absence`, async (t) => {
    const { blobs } = await openWith(t, { stat: failing(code) as never });
    await assert.rejects(blobs.stat(anyKey()), { code });
    await assert.rejects(blobs.readUpload({ ...newUpload(), size: 1 }), { code });
  });
}

test('closes the file when fstat fails', async (t) => {
  const closed: number[] = [];
  const { blobs } = await openWith(t, {
    fstat: failing('EIO') as never,
    close: async (fd) => {
      closed.push(fd);
      await nodeFiles.close(fd);
    },
  });
  const upload = await append(blobs, newUpload(), 'x');
  closed.length = 0;
  await assert.rejects(append(blobs, upload, 'y'), { code: 'EIO' });
  await assert.rejects(blobs.commit(upload, anyKey()), { code: 'EIO' });
  assert.equal(closed.length, 2);
});

test('a full disk rejects the append at once with ENOSPC and stops reading', async (t) => {
  const { blobs } = await openWith(t, { writev: failing('ENOSPC') as never });
  const chunk = Buffer.alloc(64 << 10);
  let read = 0;
  const endless = new Readable({
    read() {
      read += chunk.length;
      this.push(chunk);
    },
  });
  await assert.rejects(append(blobs, newUpload(), endless), { code: 'ENOSPC' });
  assert.ok(read < 16 << 20, `${read} bytes`);
  assert.equal(endless.listenerCount('data'), 0);
});

test('continues short writes after the written bytes', async (t) => {
  const { blobs } = await openWith(t, {
    writev: (fd, buffers, position) => {
      const bytes = Buffer.concat(buffers);
      return nodeFiles.writev(fd, [bytes.subarray(0, Math.ceil(bytes.length / 3))], position);
    },
  });
  const bytes = randomBytes(3 << 20);
  assert.ok((await committed(blobs, await store(blobs, bytes)))?.equals(bytes));
});

test('a stalled disk pauses the sender: memory is bounded and no byte is lost', async (t) => {
  const held: (() => void)[] = [];
  const began = Promise.withResolvers<void>();
  let slow = true;
  const { blobs } = await openWith(t, {
    writev: async (fd, buffers, position) => {
      began.resolve();
      if (slow) await new Promise<void>((resolve) => held.push(resolve));
      return nodeFiles.writev(fd, buffers, position);
    },
  });
  const chunk = randomBytes(64 << 10);
  const total = 64 << 20;
  let read = 0;
  const body = new Readable({
    highWaterMark: 64 << 10,
    read() {
      if (read === total) return void this.push(null);
      read += chunk.length;
      this.push(chunk);
    },
  });
  let tapped = 0;
  const appending = blobs.append(newUpload(), body, {
    tap: (bytes) => {
      tapped += bytes.length;
    },
  });
  await began.promise;
  // A sender that is not paused would be done by then.
  for (let turn = 0; turn < 5_000; turn++) await new Promise(setImmediate);
  assert.ok(body.isPaused());
  assert.ok(tapped <= 6 << 20, `${tapped} bytes wait for the disk`);
  slow = false;
  for (const go of held) go();
  assert.equal((await appending).size, total);
  assert.equal(tapped, total);
});

test("refuses another registry's directory and leaves it unchanged", async (t) => {
  const root = await temporaryDirectory(t);
  await mkdir(join(root, 'docker/registry/v2/repositories/app'), { recursive: true });
  await assert.rejects(openFilesystemStore(root), ForeignRegistry);
  assert.deepEqual(await readdir(root), ['docker']);
});

test("opens another registry's directory after Berth has marked it", async (t) => {
  const root = await temporaryDirectory(t);
  await mkdir(join(root, 'docker/registry/v2/repositories/app'), { recursive: true });
  await writeFile(join(root, 'berth-store.json'), '{}');
  await (await openFilesystemStore(root)).close();
});

test('ping fails when the data directory is missing or was replaced', async (t) => {
  const { blobs, root } = await openWith(t, {});
  await blobs.ping();
  await rm(root, { recursive: true });
  const gone = {
    name: 'StoreUnavailable',
    message: /uploads is gone: stop Berth and restore the data directory$/,
  };
  for (const write of [true, false]) await assert.rejects(blobs.ping({ write }), gone);
  await mkdir(root);
  for (const write of [true, false]) await assert.rejects(blobs.ping({ write }), gone);
});

test('creates no other folders than docker and uploads', async (t) => {
  const { blobs, root } = await openWith(t, {});
  const key = await store(blobs, 'x');
  assert.ok((await stat(join(root, dirname(key)))).isDirectory());
  assert.deepEqual((await readdir(root)).sort(), ['docker', 'uploads']);
});
