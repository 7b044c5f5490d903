// Contract tests that every blob store must pass, following the clauses of the interface.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { parseDigest } from '../oci/digest.ts';
import {
  type AppendResult,
  type BlobKey,
  type BlobStore,
  blobKey,
  type StagedUpload,
  UploadLost,
} from './blob-store.ts';
import { streamBlob } from './stream-blob.ts';

/** An upload without bytes. */
export function newUpload(id: string = randomUUID()): StagedUpload {
  return { id, size: 0, staged: '' };
}

/** A random key. */
export function anyKey(generation = 0): BlobKey {
  return blobKey(parseDigest(`sha256:${randomBytes(32).toString('hex')}`), generation);
}

/** Appends `bytes` and returns the upload as it is afterwards. */
export async function append(
  store: BlobStore,
  upload: StagedUpload,
  bytes: Readable | Buffer | string,
): Promise<StagedUpload & AppendResult> {
  const body = bytes instanceof Readable ? bytes : Readable.from(chunksOf(Buffer.from(bytes)));
  return { id: upload.id, ...(await store.append(upload, body, { tap: () => {} })) };
}

/** Chunks of uneven size, as a socket delivers them. */
function* chunksOf(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 65_521) {
    yield bytes.subarray(at, at + size);
  }
}

export async function committed(store: BlobStore, key: BlobKey): Promise<Buffer | undefined> {
  const opened = await store.read(key);
  if (opened === undefined) return undefined;
  try {
    const bytes = await buffer(streamBlob(opened));
    assert.equal(opened.size, bytes.length);
    return bytes;
  } finally {
    opened.close();
  }
}

async function staged(store: BlobStore, upload: StagedUpload): Promise<Buffer> {
  return buffer(await store.readUpload(upload));
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Stages `bytes`, commits them under `key` and frees what is still staged. */
export async function store(to: BlobStore, bytes: Buffer | string, key = anyKey()): Promise<BlobKey> {
  const upload = await append(to, newUpload(), bytes);
  await to.commit(upload, key);
  await to.abort(upload);
  return key;
}

/** @param open opens an empty store for the duration of the test; returns `undefined` if it has skipped the test */
export function describeBlobStore(
  name: string,
  open: (t: TestContext) => Promise<BlobStore | undefined>,
): void {
  const promises = (what: string, check: (blobs: BlobStore, t: TestContext) => Promise<void>): void => {
    test(`${name}: ${what}`, async (t) => {
      const blobs = await open(t);
      if (blobs) await check(blobs, t);
    });
  };

  promises('reads committed bytes with their size', async (blobs) => {
    const bytes = randomBytes(300_000);
    const key = await store(blobs, bytes);
    assert.ok((await committed(blobs, key))?.equals(bytes));
    assert.deepEqual(await blobs.stat(key), { size: bytes.length });
  });

  promises('reads a range, with the size of the whole blob', async (blobs) => {
    const bytes = randomBytes(300_000);
    const key = await store(blobs, bytes);
    for (const [start, end] of [
      [0, 0],
      [100_000, 200_000],
      [299_999, 299_999],
    ] as const) {
      const opened = await blobs.read(key, { start, end });
      assert.ok(opened !== undefined);
      assert.equal(opened.size, bytes.length);
      const wanted = bytes.subarray(start, end + 1);
      // A file is opened without a range.
      const read = await buffer(streamBlob(opened));
      assert.ok(('fd' in opened ? read.subarray(start, end + 1) : read).equals(wanted));
      opened.close();
    }
  });

  promises('stores an empty blob', async (blobs) => {
    const key = await store(blobs, '');
    assert.equal((await committed(blobs, key))?.length, 0);
    assert.deepEqual(await blobs.stat(key), { size: 0 });
  });

  promises('an absent blob is undefined', async (blobs) => {
    assert.equal(await blobs.read(anyKey()), undefined);
    assert.equal(await blobs.read(anyKey(), { start: 0, end: 0 }), undefined);
    assert.equal(await blobs.stat(anyKey()), undefined);
  });

  promises('staged bytes have no key before the commit; the commit moves or copies them', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'bytes');
    const stagedFor = async () => (await collect(blobs.listUploads())).map((file) => file.upload);
    assert.deepEqual(await collect(blobs.list()), []);
    assert.deepEqual(await stagedFor(), [upload.id]);
    await blobs.commit(upload, anyKey());
    assert.deepEqual(await stagedFor(), blobs.commitMoves ? [] : [upload.id]);
    await blobs.abort(upload);
    assert.deepEqual(await stagedFor(), []);
  });

  promises('an append continues after the last one', async (blobs) => {
    const one = await append(blobs, newUpload(), 'one');
    const two = await append(blobs, one, 'two');
    assert.deepEqual([one.size, two.size], [3, 6]);
    assert.equal((await staged(blobs, two)).toString(), 'onetwo');
  });

  promises('an append cuts off bytes after the recorded size', async (blobs) => {
    const recorded = await append(blobs, newUpload(), 'one');
    await append(blobs, recorded, ', and much that nobody recorded');
    const upload = await append(blobs, recorded, 'two');
    assert.equal(upload.size, 6);
    await assert.rejects(blobs.readUpload({ ...upload, size: 7 }), UploadLost);
    const key = anyKey();
    await blobs.commit(upload, key);
    assert.equal((await committed(blobs, key))?.toString(), 'onetwo');
  });

  promises('an append to size 0 starts over', async (blobs) => {
    const fresh = newUpload();
    await append(blobs, fresh, 'first try');
    const upload = await append(blobs, fresh, '2nd');
    assert.equal((await staged(blobs, upload)).toString(), '2nd');
    await assert.rejects(blobs.readUpload({ ...upload, size: 4 }), UploadLost);
  });

  promises('an empty append changes nothing', async (blobs) => {
    assert.equal((await append(blobs, newUpload(), '')).size, 0);
    const one = await append(blobs, newUpload(), 'one');
    assert.deepEqual(await append(blobs, one, ''), one);
    assert.equal((await staged(blobs, one)).toString(), 'one');
  });

  promises('an append beyond the staged bytes throws UploadLost, as it would leave a hole', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'one');
    await assert.rejects(append(blobs, { ...upload, size: 4 }, 'two'), UploadLost);
    await assert.rejects(append(blobs, { ...newUpload(), size: 1 }, 'two'), UploadLost);
  });

  promises('joins many small appends', async (blobs) => {
    const bytes = randomBytes(40_000);
    let upload = newUpload();
    for (let at = 0; at < bytes.length; at += 1000) {
      upload = await append(blobs, upload, bytes.subarray(at, at + 1000));
    }
    const key = anyKey();
    await blobs.commit(upload, key);
    assert.ok((await committed(blobs, key))?.equals(bytes));
  });

  promises('joins large appends of any size', async (blobs) => {
    const bytes = randomBytes((20 << 20) + 1);
    let upload = newUpload();
    for (const end of [7 << 20, (7 << 20) + 1, 18 << 20, bytes.length]) {
      upload = await append(blobs, upload, bytes.subarray(upload.size, end));
    }
    assert.ok((await staged(blobs, upload)).equals(bytes));
    const key = anyKey();
    await blobs.commit(upload, key);
    assert.ok((await committed(blobs, key))?.equals(bytes));
  });

  promises('a former writer cannot disturb an upload that was taken over', async (blobs) => {
    const before = await append(blobs, newUpload(), 'one');
    const late = new PassThrough();
    const stalled = append(blobs, before, late);
    late.write('what comes ');
    const upload = { ...before, staged: await blobs.adopt(before) };
    const two = await append(blobs, upload, 'two');
    late.end('too late');
    await stalled;
    assert.equal((await staged(blobs, two)).toString(), 'onetwo');
    const key = anyKey();
    await blobs.commit(two, key);
    assert.equal((await committed(blobs, key))?.toString(), 'onetwo');
  });

  promises('takes over an empty upload; throws UploadLost when the bytes are missing', async (blobs) => {
    const fresh = newUpload();
    const upload = await append(blobs, { ...fresh, staged: await blobs.adopt(fresh) }, 'one');
    assert.equal((await staged(blobs, upload)).toString(), 'one');
    await blobs.abort(upload);
    await assert.rejects(blobs.adopt(upload), UploadLost);
  });

  promises('taps every chunk once, in order', async (blobs) => {
    const bytes = randomBytes(5 << 20);
    const hash = createHash('sha256');
    let seen = 0;
    const fresh = newUpload();
    const result = await blobs.append(fresh, Readable.from(chunksOf(bytes)), {
      tap: (chunk) => {
        hash.update(chunk);
        seen += chunk.length;
      },
    });
    assert.deepEqual([result.size, seen], [bytes.length, bytes.length]);
    assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
    assert.ok((await staged(blobs, { ...fresh, ...result })).equals(bytes));
  });

  for (const [how, end] of [
    ['an error', (body: PassThrough) => body.destroy(new Error('socket hang up'))],
    ['only a close', (body: PassThrough) => body.destroy()],
  ] as const) {
    promises(
      `keeps the received bytes of a body that breaks off with ${how}, and reports it`,
      async (blobs) => {
        const body = new PassThrough();
        const fresh = newUpload();
        let tapped = 0;
        const appending = blobs.append(fresh, body, {
          tap: (chunk) => {
            tapped += chunk.length;
            if (tapped === 6) end(body);
          },
        });
        body.write('one');
        body.write('two');
        const { interrupted, ...result } = await appending;
        assert.ok(interrupted instanceof Error);
        assert.equal(result.size, tapped);
        assert.equal((await staged(blobs, { ...fresh, ...result })).toString(), 'onetwo');
      },
    );
  }

  promises(
    'reports a body that broke off before the append as interrupted, but not one that ended',
    async (blobs) => {
      const broken = new PassThrough();
      broken.destroy();
      await new Promise((resolve) => broken.on('close', resolve));
      const cut = await append(blobs, newUpload(), broken);
      assert.equal(cut.size, 0);
      assert.ok(cut.interrupted);
      const ended = new PassThrough();
      ended.end();
      ended.resume();
      await new Promise((resolve) => ended.on('end', resolve));
      const whole = await append(blobs, newUpload(), ended);
      assert.deepEqual([whole.size, whole.interrupted], [0, undefined]);
    },
  );

  promises(
    'a signal ends the append with its reason and removes the listeners of the body',
    async (blobs) => {
      const body = new PassThrough();
      const slow = new AbortController();
      const reason = new Error('too slow');
      const appending = blobs.append(newUpload(), body, {
        tap: () => setImmediate(() => slow.abort(reason)),
        signal: slow.signal,
      });
      body.write('one');
      const { size, interrupted } = await appending;
      assert.deepEqual([size, interrupted], [3, reason]);
      assert.equal(body.listenerCount('data'), 0);
      body.destroy(new Error('an error after the append'));
      await new Promise((resolve) => body.on('close', resolve));
    },
  );

  promises('a signal aborted before the append ends it at once', async (blobs) => {
    const reason = new Error('too late');
    const signal = AbortSignal.abort(reason);
    const result = await blobs.append(newUpload(), new PassThrough(), { tap: () => {}, signal });
    assert.deepEqual([result.size, result.interrupted], [0, reason]);
  });

  promises('concurrent uploads do not mix their bytes', async (blobs) => {
    const bodies = Array.from({ length: 20 }, () => randomBytes(400_000));
    await Promise.all(
      bodies.map(async (bytes) => {
        const half = await append(blobs, newUpload(), bytes.subarray(0, 123_457));
        const whole = await append(blobs, half, bytes.subarray(123_457));
        assert.ok((await staged(blobs, whole)).equals(bytes));
      }),
    );
  });

  promises('readUpload returns the first `size` bytes, also of size 0', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'onetwo');
    assert.equal((await staged(blobs, { ...upload, size: 3 })).toString(), 'one');
    assert.equal((await staged(blobs, { ...upload, size: 0 })).length, 0);
    await assert.rejects(blobs.readUpload({ ...upload, size: 7 }), { name: 'UploadLost', found: 6 });
    await assert.rejects(blobs.readUpload({ ...newUpload(), size: 1 }), {
      name: 'UploadLost',
      found: undefined,
    });
  });

  promises('a commit takes only the recorded bytes', async (blobs) => {
    const recorded = await append(blobs, newUpload(), 'one');
    await append(blobs, recorded, ', and what a failed append left');
    const key = anyKey();
    await blobs.commit(recorded, key);
    assert.equal((await committed(blobs, key))?.toString(), 'one');
  });

  promises(
    'a commit of more bytes than are staged throws UploadLost and makes nothing visible',
    async (blobs) => {
      const upload = await append(blobs, newUpload(), 'one');
      const key = anyKey();
      await assert.rejects(blobs.commit({ ...upload, size: 4 }, key), UploadLost);
      await assert.rejects(blobs.commit({ ...newUpload(), size: 3 }, key), UploadLost);
      assert.equal(await blobs.stat(key), undefined);
    },
  );

  promises('a commit is idempotent', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'one');
    const key = anyKey();
    await blobs.commit(upload, key);
    await blobs.commit(upload, key);
    assert.equal((await committed(blobs, key))?.toString(), 'one');
  });

  promises('a commit replaces an existing, damaged blob', async (blobs) => {
    const key = await store(blobs, 'damaged, and longer');
    await store(blobs, 'whole', key);
    assert.equal((await committed(blobs, key))?.toString(), 'whole');
  });

  promises('a reader is not disturbed by a commit or a delete', async (blobs) => {
    const key = await store(blobs, 'before');
    const opened = await blobs.read(key);
    assert.ok(opened !== undefined);
    await store(blobs, 'after!', key);
    await blobs.delete(key);
    assert.equal((await buffer(streamBlob(opened))).toString(), 'before');
    opened.close();
  });

  promises('concurrent commits of the same digest all succeed', async (blobs) => {
    const key = anyKey();
    await Promise.all(Array.from({ length: 20 }, () => store(blobs, 'same', key)));
    assert.equal((await committed(blobs, key))?.toString(), 'same');
    assert.deepEqual(await collect(blobs.listUploads()), []);
  });

  promises('a delete is idempotent and leaves other generations', async (blobs) => {
    const digest = parseDigest(`sha512:${randomBytes(64).toString('hex')}`);
    for (const generation of [0, 1]) {
      await store(blobs, `generation ${generation}`, blobKey(digest, generation));
    }
    await blobs.delete(blobKey(digest, 0));
    await blobs.delete(blobKey(digest, 0));
    await blobs.delete(anyKey());
    assert.equal(await blobs.stat(blobKey(digest, 0)), undefined);
    assert.equal((await committed(blobs, blobKey(digest, 1)))?.toString(), 'generation 1');
  });

  promises('an abort deletes the staged bytes and is idempotent', async (blobs) => {
    const one = await append(blobs, newUpload(), 'one');
    const two = await append(blobs, newUpload(), 'two');
    await blobs.abort(one);
    await blobs.abort(one);
    await assert.rejects(blobs.readUpload(one), UploadLost);
    assert.equal((await staged(blobs, two)).toString(), 'two');
  });

  promises(
    'an abort deletes the staged bytes of the former writer, but not those of a takeover',
    async (blobs) => {
      const before = await append(blobs, newUpload(), 'one');
      const taken = { ...before, staged: await blobs.adopt(before) };
      const late = await append(blobs, before, 'late');
      const two = await append(blobs, taken, 'two');
      await blobs.abort(late, two.staged);
      assert.equal((await staged(blobs, two)).toString(), 'onetwo');
      await blobs.abort(two);
      assert.deepEqual(await collect(blobs.listUploads()), []);
    },
  );

  promises('a commit by the former writer does not change an upload that was taken over', async (blobs) => {
    const before = await append(blobs, newUpload(), 'one');
    const taken = { ...before, staged: await blobs.adopt(before) };
    const two = await append(blobs, taken, 'two');
    await blobs.commit(before, anyKey());
    assert.equal((await staged(blobs, two)).toString(), 'onetwo');
  });

  promises('deletes listed files of uploads; idempotent', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'one');
    for (const { name } of await collect(blobs.listUploads())) {
      await blobs.deleteStaged(name);
      await blobs.deleteStaged(name);
    }
    assert.deepEqual(await collect(blobs.listUploads()), []);
    await assert.rejects(blobs.readUpload(upload), UploadLost);
  });

  promises('lists every key and every upload once, with the time of the last write', async (blobs) => {
    assert.deepEqual([await collect(blobs.list()), await collect(blobs.listUploads())], [[], []]);
    const before = Date.now();
    const keys = [await store(blobs, 'a'), await store(blobs, 'b'), await store(blobs, '')];
    await append(blobs, newUpload(), 'staged');
    const found = await collect(blobs.list());
    assert.deepEqual(found.map((file) => file.name).sort(), keys.sort());
    for (const { modifiedAt } of [...found, ...(await collect(blobs.listUploads()))]) {
      // Some stores keep times in whole seconds.
      assert.ok(modifiedAt >= before - 1000 && modifiedAt <= Date.now() + 1000, `${modifiedAt}, ${before}`);
    }
  });

  promises('ping succeeds on a writable store and leaves no blob or upload', async (blobs) => {
    for (const write of [undefined, true, false]) await blobs.ping({ ...(write !== undefined && { write }) });
    assert.deepEqual([await collect(blobs.list()), await collect(blobs.listUploads())], [[], []]);
  });

  promises('reads the last written marker, which is neither a blob nor an upload', async (blobs) => {
    assert.equal(await blobs.readMarker(), undefined);
    for (const text of ['{"registry":"ä"}\n', '{"registry":"a shorter one"}', 'x'.repeat(5_000)]) {
      await blobs.writeMarker(text);
      assert.equal(await blobs.readMarker(), text);
    }
    const written = await Promise.allSettled(
      ['a', 'b', 'c'].map((text) => blobs.writeMarker(text.repeat(100))),
    );
    assert.ok(written.every(({ status }) => status === 'fulfilled'));
    assert.match((await blobs.readMarker()) as string, /^(a{100}|b{100}|c{100})$/);
    assert.deepEqual([await collect(blobs.list()), await collect(blobs.listUploads())], [[], []]);
  });
}
