// What every blob store promises, clause by clause of its interface. A store passes the whole of it.
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

/** An upload of which nothing has come. */
export function newUpload(id: string = randomUUID()): StagedUpload {
  return { id, size: 0, staged: '' };
}

/** A key that no other call gives. */
export function anyKey(generation = 0): BlobKey {
  return blobKey(parseDigest(`sha256:${randomBytes(32).toString('hex')}`), generation);
}

/** The upload as it is after the append. */
export async function append(
  store: BlobStore,
  upload: StagedUpload,
  bytes: Readable | Buffer | string,
): Promise<StagedUpload & AppendResult> {
  const body = bytes instanceof Readable ? bytes : Readable.from(chunksOf(Buffer.from(bytes)));
  return { id: upload.id, ...(await store.append(upload, body, { tap: () => {} })) };
}

/** Uneven parts, as a socket delivers them. */
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

/** Stages `bytes`, commits them under a new key and frees what is staged still. */
export async function store(to: BlobStore, bytes: Buffer | string, key = anyKey()): Promise<BlobKey> {
  const upload = await append(to, newUpload(), bytes);
  await to.commit(upload, key);
  await to.abort(upload);
  return key;
}

/** @param open gives an empty store that goes with the test, or none where the test was skipped */
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

  promises('bytes that were committed are read, with their size', async (blobs) => {
    const bytes = randomBytes(300_000);
    const key = await store(blobs, bytes);
    assert.ok((await committed(blobs, key))?.equals(bytes));
    assert.deepEqual(await blobs.stat(key), { size: bytes.length });
  });

  promises('a range is read as such, with the size of the whole', async (blobs) => {
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
      // A file is opened whole.
      const read = await buffer(streamBlob(opened));
      assert.ok(('fd' in opened ? read.subarray(start, end + 1) : read).equals(wanted));
      opened.close();
    }
  });

  promises('a blob of no bytes is a blob', async (blobs) => {
    const key = await store(blobs, '');
    assert.equal((await committed(blobs, key))?.length, 0);
    assert.deepEqual(await blobs.stat(key), { size: 0 });
  });

  promises('what is absent is undefined', async (blobs) => {
    assert.equal(await blobs.read(anyKey()), undefined);
    assert.equal(await blobs.read(anyKey(), { start: 0, end: 0 }), undefined);
    assert.equal(await blobs.stat(anyKey()), undefined);
  });

  promises(
    'staged bytes are under no key before the commit, and are moved or copied by it',
    async (blobs) => {
      const upload = await append(blobs, newUpload(), 'bytes');
      const stagedFor = async () => (await collect(blobs.listUploads())).map((file) => file.upload);
      assert.deepEqual(await collect(blobs.list()), []);
      assert.deepEqual(await stagedFor(), [upload.id]);
      await blobs.commit(upload, anyKey());
      assert.deepEqual(await stagedFor(), blobs.commitMoves ? [] : [upload.id]);
      await blobs.abort(upload);
      assert.deepEqual(await stagedFor(), []);
    },
  );

  promises('an append goes on where the last one ended', async (blobs) => {
    const one = await append(blobs, newUpload(), 'one');
    const two = await append(blobs, one, 'two');
    assert.deepEqual([one.size, two.size], [3, 6]);
    assert.equal((await staged(blobs, two)).toString(), 'onetwo');
  });

  promises('an append cuts off what an earlier one left behind the bytes that count', async (blobs) => {
    const recorded = await append(blobs, newUpload(), 'one');
    await append(blobs, recorded, ', and much that nobody recorded');
    const upload = await append(blobs, recorded, 'two');
    assert.equal(upload.size, 6);
    await assert.rejects(blobs.readUpload({ ...upload, size: 7 }), UploadLost);
    const key = anyKey();
    await blobs.commit(upload, key);
    assert.equal((await committed(blobs, key))?.toString(), 'onetwo');
  });

  promises('an append at the start begins anew', async (blobs) => {
    const fresh = newUpload();
    await append(blobs, fresh, 'first try');
    const upload = await append(blobs, fresh, '2nd');
    assert.equal((await staged(blobs, upload)).toString(), '2nd');
    await assert.rejects(blobs.readUpload({ ...upload, size: 4 }), UploadLost);
  });

  promises('an append of no bytes changes nothing', async (blobs) => {
    assert.equal((await append(blobs, newUpload(), '')).size, 0);
    const one = await append(blobs, newUpload(), 'one');
    assert.deepEqual(await append(blobs, one, ''), one);
    assert.equal((await staged(blobs, one)).toString(), 'one');
  });

  promises(
    'an append behind the staged bytes is UploadLost: a hole would be bytes nobody sent',
    async (blobs) => {
      const upload = await append(blobs, newUpload(), 'one');
      await assert.rejects(append(blobs, { ...upload, size: 4 }, 'two'), UploadLost);
      await assert.rejects(append(blobs, { ...newUpload(), size: 1 }, 'two'), UploadLost);
    },
  );

  promises('many small appends make one upload', async (blobs) => {
    const bytes = randomBytes(40_000);
    let upload = newUpload();
    for (let at = 0; at < bytes.length; at += 1000) {
      upload = await append(blobs, upload, bytes.subarray(at, at + 1000));
    }
    const key = anyKey();
    await blobs.commit(upload, key);
    assert.ok((await committed(blobs, key))?.equals(bytes));
  });

  promises('large appends of any size make one upload', async (blobs) => {
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

  promises('who took an upload over is not disturbed by the writer before', async (blobs) => {
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

  promises('an upload without bytes is taken over too; one whose bytes are gone is lost', async (blobs) => {
    const fresh = newUpload();
    const upload = await append(blobs, { ...fresh, staged: await blobs.adopt(fresh) }, 'one');
    assert.equal((await staged(blobs, upload)).toString(), 'one');
    await blobs.abort(upload);
    await assert.rejects(blobs.adopt(upload), UploadLost);
  });

  promises('every chunk is tapped once, in order, before it is written', async (blobs) => {
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
    ['nothing but its close', (body: PassThrough) => body.destroy()],
  ] as const) {
    promises(`a body that breaks off with ${how} keeps what had come, and says so`, async (blobs) => {
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
    });
  }

  promises('a body that was over before it was read is taken for what it is', async (blobs) => {
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
  });

  promises(
    'a signal ends the append with its reason, and nobody listens to the body any more',
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
      body.destroy(new Error('what comes later is nobody’s concern'));
      await new Promise((resolve) => body.on('close', resolve));
    },
  );

  promises('a signal that was given before the append ends it at once', async (blobs) => {
    const reason = new Error('too late');
    const signal = AbortSignal.abort(reason);
    const result = await blobs.append(newUpload(), new PassThrough(), { tap: () => {}, signal });
    assert.deepEqual([result.size, result.interrupted], [0, reason]);
  });

  promises('uploads at once do not mix their bytes', async (blobs) => {
    const bodies = Array.from({ length: 20 }, () => randomBytes(400_000));
    await Promise.all(
      bodies.map(async (bytes) => {
        const half = await append(blobs, newUpload(), bytes.subarray(0, 123_457));
        const whole = await append(blobs, half, bytes.subarray(123_457));
        assert.ok((await staged(blobs, whole)).equals(bytes));
      }),
    );
  });

  promises('readUpload gives as many of the first bytes as asked, also none', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'onetwo');
    assert.equal((await staged(blobs, { ...upload, size: 3 })).toString(), 'one');
    assert.equal((await staged(blobs, { ...upload, size: 0 })).length, 0);
    await assert.rejects(blobs.readUpload({ ...upload, size: 7 }), { name: 'UploadLost', found: 6 });
    await assert.rejects(blobs.readUpload({ ...newUpload(), size: 1 }), {
      name: 'UploadLost',
      found: undefined,
    });
  });

  promises('a commit takes the bytes that were asked for, not what was left behind them', async (blobs) => {
    const recorded = await append(blobs, newUpload(), 'one');
    await append(blobs, recorded, ', and what a failed append left');
    const key = anyKey();
    await blobs.commit(recorded, key);
    assert.equal((await committed(blobs, key))?.toString(), 'one');
  });

  promises(
    'a commit of more bytes than are staged is UploadLost and makes nothing visible',
    async (blobs) => {
      const upload = await append(blobs, newUpload(), 'one');
      const key = anyKey();
      await assert.rejects(blobs.commit({ ...upload, size: 4 }, key), UploadLost);
      await assert.rejects(blobs.commit({ ...newUpload(), size: 3 }, key), UploadLost);
      assert.equal(await blobs.stat(key), undefined);
    },
  );

  promises('a commit is safe to repeat', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'one');
    const key = anyKey();
    await blobs.commit(upload, key);
    await blobs.commit(upload, key);
    assert.equal((await committed(blobs, key))?.toString(), 'one');
  });

  promises('a commit replaces what is there: a damaged blob heals', async (blobs) => {
    const key = await store(blobs, 'damaged, and longer');
    await store(blobs, 'whole', key);
    assert.equal((await committed(blobs, key))?.toString(), 'whole');
  });

  promises('who reads while a commit or a delete comes reads to the end', async (blobs) => {
    const key = await store(blobs, 'before');
    const opened = await blobs.read(key);
    assert.ok(opened !== undefined);
    await store(blobs, 'after!', key);
    await blobs.delete(key);
    assert.equal((await buffer(streamBlob(opened))).toString(), 'before');
    opened.close();
  });

  promises('commits of the same digest at once all succeed', async (blobs) => {
    const key = anyKey();
    await Promise.all(Array.from({ length: 20 }, () => store(blobs, 'same', key)));
    assert.equal((await committed(blobs, key))?.toString(), 'same');
    assert.deepEqual(await collect(blobs.listUploads()), []);
  });

  promises('a delete is idempotent and touches no other generation', async (blobs) => {
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

  promises('an abort forgets the staged bytes and is idempotent', async (blobs) => {
    const one = await append(blobs, newUpload(), 'one');
    const two = await append(blobs, newUpload(), 'two');
    await blobs.abort(one);
    await blobs.abort(one);
    await assert.rejects(blobs.readUpload(one), UploadLost);
    assert.equal((await staged(blobs, two)).toString(), 'two');
  });

  promises('an abort frees what the upload names, and nothing of who took the upload over', async (blobs) => {
    const before = await append(blobs, newUpload(), 'one');
    const taken = { ...before, staged: await blobs.adopt(before) };
    const late = await append(blobs, before, 'late');
    const two = await append(blobs, taken, 'two');
    await blobs.abort(late, two.staged);
    assert.equal((await staged(blobs, two)).toString(), 'onetwo');
    await blobs.abort(two);
    assert.deepEqual(await collect(blobs.listUploads()), []);
  });

  promises('a commit takes nothing from who took the upload over', async (blobs) => {
    const before = await append(blobs, newUpload(), 'one');
    const taken = { ...before, staged: await blobs.adopt(before) };
    const two = await append(blobs, taken, 'two');
    await blobs.commit(before, anyKey());
    assert.equal((await staged(blobs, two)).toString(), 'onetwo');
  });

  promises('what a listing of uploads names can be deleted, once or twice', async (blobs) => {
    const upload = await append(blobs, newUpload(), 'one');
    for (const { name } of await collect(blobs.listUploads())) {
      await blobs.deleteStaged(name);
      await blobs.deleteStaged(name);
    }
    assert.deepEqual(await collect(blobs.listUploads()), []);
    await assert.rejects(blobs.readUpload(upload), UploadLost);
  });

  promises(
    'listings give every key and every upload once, with the time of the last write',
    async (blobs) => {
      assert.deepEqual([await collect(blobs.list()), await collect(blobs.listUploads())], [[], []]);
      const before = Date.now();
      const keys = [await store(blobs, 'a'), await store(blobs, 'b'), await store(blobs, '')];
      await append(blobs, newUpload(), 'staged');
      const found = await collect(blobs.list());
      assert.deepEqual(found.map((file) => file.name).sort(), keys.sort());
      for (const { modifiedAt } of [...found, ...(await collect(blobs.listUploads()))]) {
        // Stores keep coarser times than the clock, down to whole seconds.
        assert.ok(modifiedAt >= before - 1000 && modifiedAt <= Date.now() + 1000, `${modifiedAt}, ${before}`);
      }
    },
  );

  promises(
    'a store that can be written to answers a ping, and holds nothing more after it',
    async (blobs) => {
      for (const write of [undefined, true, false])
        await blobs.ping({ ...(write !== undefined && { write }) });
      assert.deepEqual([await collect(blobs.list()), await collect(blobs.listUploads())], [[], []]);
    },
  );

  promises('a marker is read as it was written last, and is neither a blob nor an upload', async (blobs) => {
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
