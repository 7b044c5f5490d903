// What every blob store promises, clause by clause of its interface. A store passes the whole of it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { parseDigest } from '../oci/digest.ts';
import { type AppendResult, type BlobKey, type BlobStore, blobKey, UploadLost } from './blob-store.ts';

const upload = '6f1c0a52-6f0b-4a7c-9a3e-2f1f3d5b7c99';
const other = '0d9bd0c5-6a43-4c0e-b1a4-7f0e7e0c1a11';

/** A key that no other call gives. */
export function anyKey(generation = 0): BlobKey {
  return blobKey(parseDigest(`sha256:${randomBytes(32).toString('hex')}`), generation);
}

export function append(
  store: BlobStore,
  id: string,
  offset: number,
  bytes: Readable | Buffer | string,
): Promise<AppendResult> {
  const body = bytes instanceof Readable ? bytes : Readable.from(chunksOf(Buffer.from(bytes)));
  return store.append(id, offset, body, { tap: () => {} });
}

/** Uneven parts, as a socket delivers them. */
function* chunksOf(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 65_521) {
    yield bytes.subarray(at, at + size);
  }
}

export async function committed(store: BlobStore, key: BlobKey): Promise<Buffer | undefined> {
  const file = await store.read(key);
  if (file === undefined) return undefined;
  try {
    const bytes = Buffer.alloc(file.size + 1);
    return bytes.subarray(0, fs.readSync(file.fd, bytes, 0, bytes.length, 0));
  } finally {
    file.close();
  }
}

async function staged(store: BlobStore, id: string, size: number): Promise<Buffer> {
  return buffer(await store.readUpload(id, size));
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Stages `bytes` and commits them under a new key. */
export async function store(to: BlobStore, bytes: Buffer | string, id = upload): Promise<BlobKey> {
  const key = anyKey();
  const { size } = await append(to, id, 0, bytes);
  await to.commit(id, key, size);
  return key;
}

/** @param open gives an empty store that goes with the test */
export function describeBlobStore(name: string, open: (t: TestContext) => Promise<BlobStore>): void {
  const promises = (what: string, check: (blobs: BlobStore, t: TestContext) => Promise<void>): void => {
    test(`${name}: ${what}`, async (t) => check(await open(t), t));
  };

  promises('bytes that were committed are read, with their size', async (blobs) => {
    const bytes = randomBytes(300_000);
    const key = await store(blobs, bytes);
    assert.ok((await committed(blobs, key))?.equals(bytes));
    assert.deepEqual(await blobs.stat(key), { size: bytes.length });
  });

  promises('a blob of no bytes is a blob', async (blobs) => {
    const key = await store(blobs, '');
    assert.equal((await committed(blobs, key))?.length, 0);
    assert.deepEqual(await blobs.stat(key), { size: 0 });
  });

  promises('what is absent is undefined', async (blobs) => {
    assert.equal(await blobs.read(anyKey()), undefined);
    assert.equal(await blobs.stat(anyKey()), undefined);
  });

  promises('staged bytes are under no key before the commit, and staged no more after it', async (blobs) => {
    await append(blobs, upload, 0, 'bytes');
    assert.deepEqual(await collect(blobs.list()), []);
    assert.deepEqual(
      (await collect(blobs.listUploads())).map((file) => file.name),
      [upload],
    );
    await blobs.commit(upload, anyKey(), 5);
    assert.deepEqual(await collect(blobs.listUploads()), []);
  });

  promises('an append goes on where the last one ended', async (blobs) => {
    assert.deepEqual(await append(blobs, upload, 0, 'one'), { size: 3 });
    assert.deepEqual(await append(blobs, upload, 3, 'two'), { size: 6 });
    assert.equal((await staged(blobs, upload, 6)).toString(), 'onetwo');
  });

  promises('an append cuts off what an earlier one left behind its offset', async (blobs) => {
    await append(blobs, upload, 0, 'one, and much that nobody recorded');
    assert.deepEqual(await append(blobs, upload, 3, 'two'), { size: 6 });
    await assert.rejects(blobs.readUpload(upload, 7), UploadLost);
    const key = anyKey();
    await blobs.commit(upload, key, 6);
    assert.equal((await committed(blobs, key))?.toString(), 'onetwo');
  });

  promises('an append at the start begins anew', async (blobs) => {
    await append(blobs, upload, 0, 'first try');
    assert.deepEqual(await append(blobs, upload, 0, '2nd'), { size: 3 });
    assert.equal((await staged(blobs, upload, 3)).toString(), '2nd');
    await assert.rejects(blobs.readUpload(upload, 4), UploadLost);
  });

  promises('an append of no bytes stages what there is', async (blobs) => {
    assert.deepEqual(await append(blobs, upload, 0, ''), { size: 0 });
    await append(blobs, upload, 0, 'one');
    assert.deepEqual(await append(blobs, upload, 3, ''), { size: 3 });
    assert.equal((await staged(blobs, upload, 3)).toString(), 'one');
  });

  promises(
    'an append behind the staged bytes is UploadLost: a hole would be bytes nobody sent',
    async (blobs) => {
      await append(blobs, upload, 0, 'one');
      await assert.rejects(append(blobs, upload, 4, 'two'), UploadLost);
      await assert.rejects(append(blobs, other, 1, 'two'), UploadLost);
    },
  );

  promises('every chunk is tapped once, in order, before it is written', async (blobs) => {
    const bytes = randomBytes(5 << 20);
    const hash = createHash('sha256');
    let seen = 0;
    const { size } = await blobs.append(upload, 0, Readable.from(chunksOf(bytes)), {
      tap: (chunk) => {
        hash.update(chunk);
        seen += chunk.length;
      },
    });
    assert.deepEqual([size, seen], [bytes.length, bytes.length]);
    assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
    assert.ok((await staged(blobs, upload, size)).equals(bytes));
  });

  for (const [how, end] of [
    ['an error', (body: PassThrough) => body.destroy(new Error('socket hang up'))],
    ['nothing but its close', (body: PassThrough) => body.destroy()],
  ] as const) {
    promises(`a body that breaks off with ${how} keeps what had come, and says so`, async (blobs) => {
      const body = new PassThrough();
      let tapped = 0;
      const appending = blobs.append(upload, 0, body, {
        tap: (chunk) => {
          tapped += chunk.length;
          if (tapped === 6) end(body);
        },
      });
      body.write('one');
      body.write('two');
      const { size, interrupted } = await appending;
      assert.ok(interrupted instanceof Error);
      assert.equal(size, tapped);
      assert.equal((await staged(blobs, upload, size)).toString(), 'onetwo');
    });
  }

  promises('a body that was over before it was read is taken for what it is', async (blobs) => {
    const broken = new PassThrough();
    broken.destroy();
    await new Promise((resolve) => broken.on('close', resolve));
    const cut = await append(blobs, upload, 0, broken);
    assert.equal(cut.size, 0);
    assert.ok(cut.interrupted);
    const ended = new PassThrough();
    ended.end();
    ended.resume();
    await new Promise((resolve) => ended.on('end', resolve));
    assert.deepEqual(await append(blobs, upload, 0, ended), { size: 0 });
  });

  promises(
    'a signal ends the append with its reason, and nobody listens to the body any more',
    async (blobs) => {
      const body = new PassThrough();
      const slow = new AbortController();
      const reason = new Error('too slow');
      const appending = blobs.append(upload, 0, body, {
        tap: () => setImmediate(() => slow.abort(reason)),
        signal: slow.signal,
      });
      body.write('one');
      assert.deepEqual(await appending, { size: 3, interrupted: reason });
      assert.equal(body.listenerCount('data'), 0);
      body.destroy(new Error('what comes later is nobody’s concern'));
      await new Promise((resolve) => body.on('close', resolve));
    },
  );

  promises('a signal that was given before the append ends it at once', async (blobs) => {
    const reason = new Error('too late');
    const signal = AbortSignal.abort(reason);
    const result = await blobs.append(upload, 0, new PassThrough(), { tap: () => {}, signal });
    assert.deepEqual(result, { size: 0, interrupted: reason });
  });

  promises('uploads at once do not mix their bytes', async (blobs) => {
    const bodies = Array.from({ length: 20 }, () => randomBytes(400_000));
    await Promise.all(
      bodies.map(async (bytes, i) => {
        const id = `${upload.slice(0, -2)}${10 + i}`;
        await append(blobs, id, 0, bytes.subarray(0, 123_457));
        await append(blobs, id, 123_457, bytes.subarray(123_457));
        assert.ok((await staged(blobs, id, bytes.length)).equals(bytes));
      }),
    );
  });

  promises('readUpload gives as many of the first bytes as asked, also none', async (blobs) => {
    await append(blobs, upload, 0, 'onetwo');
    assert.equal((await staged(blobs, upload, 3)).toString(), 'one');
    assert.equal((await staged(blobs, upload, 0)).length, 0);
    await assert.rejects(blobs.readUpload(upload, 7), UploadLost);
    await assert.rejects(blobs.readUpload(other, 0), UploadLost);
  });

  promises('a commit takes the bytes that were asked for, not what was left behind them', async (blobs) => {
    await append(blobs, upload, 0, 'one, and what a failed append left');
    const key = anyKey();
    await blobs.commit(upload, key, 3);
    assert.equal((await committed(blobs, key))?.toString(), 'one');
  });

  promises(
    'a commit of more bytes than are staged is UploadLost and makes nothing visible',
    async (blobs) => {
      await append(blobs, upload, 0, 'one');
      const key = anyKey();
      await assert.rejects(blobs.commit(upload, key, 4), UploadLost);
      await assert.rejects(blobs.commit(other, key, 3), UploadLost);
      assert.equal(await blobs.stat(key), undefined);
    },
  );

  promises('a commit is safe to repeat', async (blobs) => {
    await append(blobs, upload, 0, 'one');
    const key = anyKey();
    await blobs.commit(upload, key, 3);
    await blobs.commit(upload, key, 3);
    assert.equal((await committed(blobs, key))?.toString(), 'one');
  });

  promises('a commit replaces what is there: a damaged blob heals', async (blobs) => {
    const key = await store(blobs, 'damaged, and longer');
    await append(blobs, upload, 0, 'whole');
    await blobs.commit(upload, key, 5);
    assert.equal((await committed(blobs, key))?.toString(), 'whole');
  });

  promises('who reads while a commit or a delete comes reads to the end', async (blobs) => {
    const key = await store(blobs, 'before');
    const file = await blobs.read(key);
    await append(blobs, upload, 0, 'after!');
    await blobs.commit(upload, key, 6);
    await blobs.delete(key);
    const bytes = Buffer.alloc(6);
    fs.readSync(file?.fd as number, bytes, 0, 6, 0);
    file?.close();
    assert.equal(bytes.toString(), 'before');
  });

  promises('commits of the same digest at once all succeed', async (blobs) => {
    const key = anyKey();
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const id = `${upload.slice(0, -2)}${10 + i}`;
        await append(blobs, id, 0, 'same');
        await blobs.commit(id, key, 4);
      }),
    );
    assert.equal((await committed(blobs, key))?.toString(), 'same');
    assert.deepEqual(await collect(blobs.listUploads()), []);
  });

  promises('a delete is idempotent and touches no other generation', async (blobs) => {
    const digest = parseDigest(`sha512:${randomBytes(64).toString('hex')}`);
    for (const generation of [0, 1]) {
      await append(blobs, upload, 0, `generation ${generation}`);
      await blobs.commit(upload, blobKey(digest, generation), 12);
    }
    await blobs.delete(blobKey(digest, 0));
    await blobs.delete(blobKey(digest, 0));
    await blobs.delete(anyKey());
    assert.equal(await blobs.stat(blobKey(digest, 0)), undefined);
    assert.equal((await committed(blobs, blobKey(digest, 1)))?.toString(), 'generation 1');
  });

  promises('an abort forgets the staged bytes and is idempotent', async (blobs) => {
    await append(blobs, upload, 0, 'one');
    await append(blobs, other, 0, 'two');
    await blobs.abort(upload);
    await blobs.abort(upload);
    await assert.rejects(blobs.readUpload(upload, 0), UploadLost);
    assert.equal((await staged(blobs, other, 3)).toString(), 'two');
  });

  promises(
    'listings give every key and every upload once, with the time of the last write',
    async (blobs) => {
      assert.deepEqual([await collect(blobs.list()), await collect(blobs.listUploads())], [[], []]);
      const before = Date.now();
      const keys = [await store(blobs, 'a'), await store(blobs, 'b'), await store(blobs, '')];
      await append(blobs, upload, 0, 'staged');
      const found = await collect(blobs.list());
      assert.deepEqual(found.map((file) => file.name).sort(), keys.sort());
      for (const { modifiedAt } of [...found, ...(await collect(blobs.listUploads()))]) {
        // File systems keep coarser times than the clock.
        assert.ok(modifiedAt >= before - 100 && modifiedAt <= Date.now() + 100, `${modifiedAt}, ${before}`);
      }
    },
  );

  promises('a store that can be written to answers a ping', (blobs) => blobs.ping());
}
