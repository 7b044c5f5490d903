import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough, Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { sendStream } from './send-stream.ts';

/** A receiver that accepts everything, and collects it in `bytes`. */
class Receiver extends Writable {
  readonly chunks: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  override _write(chunk: Buffer, _encoding: string, taken: () => void): void {
    this.chunks.push(chunk);
    taken();
  }
}

/** A receiver that accepts nothing until `take` is called. */
class StalledReceiver extends Writable {
  #taken: (() => void)[] = [];

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(_chunk: Buffer, _encoding: string, taken: () => void): void {
    this.#taken.push(taken);
    this.emit('offered');
  }

  take(): void {
    this.#taken.shift()?.();
  }
}

const range = (bytes: number): { start: number; end: number } => ({ start: 10, end: 9 + bytes });

for (const size of [0, 1, 300_000]) {
  test(`a stream of ${size} bytes arrives unchanged, and each byte is reported as progress once`, async () => {
    const bytes = randomBytes(size);
    const to = new Receiver();
    let progress = 0;
    const chunks = Array.from({ length: Math.ceil(size / 65_521) }, (_, i) =>
      bytes.subarray(i * 65_521, (i + 1) * 65_521),
    );
    await sendStream(to, Readable.from(chunks), range(size), (sent) => {
      progress += sent;
    });
    assert.ok(to.bytes.equals(bytes));
    assert.equal(progress, size);
    // The caller ends the response or sends the next range.
    assert.equal(to.writableEnded, false);
  });
}

test('reads no faster than the receiver accepts bytes', async () => {
  const to = new StalledReceiver();
  let given = 0;
  const stream = new Readable({
    highWaterMark: 1000,
    read() {
      given += 1000;
      this.push(given > 100_000 ? null : Buffer.alloc(1000));
    },
  });
  const sending = sendStream(to, stream, range(100_000), () => {});
  await once(to, 'offered');
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  assert.ok(given <= 5000, `${given} bytes were read ahead`);
  to.on('offered', () => setImmediate(() => to.take()));
  to.take();
  await sending;
});

test('resolves only after the receiver has accepted the last byte', async () => {
  const to = new StalledReceiver();
  let over = false;
  const sending = sendStream(to, Readable.from([Buffer.alloc(10)]), range(10), () => {}).then(() => {
    over = true;
  });
  await once(to, 'offered');
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  assert.equal(over, false);
  to.take();
  await sending;
});

for (const [what, bytes, message] of [
  ['a byte too few', 9, /1 bytes less than requested/],
  ['a byte too many', 11, /more than the requested 10 bytes/],
] as const) {
  test(`a stream with ${what} rejects, and no extra byte is sent`, async () => {
    const to = new Receiver();
    await assert.rejects(
      sendStream(to, Readable.from([Buffer.alloc(bytes)]), range(10), () => {}),
      message,
    );
    assert.ok(to.bytes.length <= 10);
  });
}

for (const [what, end, message] of [
  ['breaks with an error', (stream: PassThrough) => stream.destroy(new Error('reset')), /reset/],
  ['is destroyed without one', (stream: PassThrough) => stream.destroy(), /connection to the store broke/],
] as const) {
  test(`a stream that ${what} rejects, and no listener remains`, async () => {
    const to = new Receiver();
    const stream = new PassThrough();
    const sending = sendStream(to, stream, range(10), () => end(stream));
    stream.write(Buffer.alloc(5));
    await assert.rejects(sending, message);
    assert.deepEqual([to.listenerCount('drain'), to.listenerCount('close')], [0, 0]);
    assert.equal(stream.listenerCount('data'), 0);
  });
}

test('a stream that was destroyed before rejects', async () => {
  const stream = new PassThrough();
  stream.destroy();
  await assert.rejects(
    sendStream(new Receiver(), stream, range(10), () => {}),
    /broke/,
  );
});

test('a receiver that refuses a chunk rejects with its reason', async () => {
  const to = new Writable({ write: (_chunk, _encoding, done) => done(new Error('broken pipe')) });
  to.on('error', () => {});
  await assert.rejects(
    sendStream(to, Readable.from([Buffer.alloc(10)]), range(10), () => {}),
    /broken pipe/,
  );
});

test('rejects when the client disconnects, or has disconnected before', async () => {
  const stream = new PassThrough();
  const to = new StalledReceiver();
  const sending = sendStream(to, stream, range(10), () => {});
  const offered = once(to, 'offered');
  stream.write(Buffer.alloc(5));
  await offered;
  to.destroy();
  await assert.rejects(sending, /client disconnected/);
  await assert.rejects(
    sendStream(to, new PassThrough(), range(10), () => {}),
    /client disconnected/,
  );
});
