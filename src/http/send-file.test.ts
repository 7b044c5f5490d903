import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { open, stat, writeFile } from 'node:fs/promises';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { largestBuffer, sendFile } from './send-file.ts';

/** As large as the buffers of a server with few transfers. */
const largest = largestBuffer;

async function fileOf(t: TestContext, bytes: Buffer): Promise<number> {
  const path = join(await temporaryDirectory(t), 'file');
  await writeFile(path, bytes);
  const file = await open(path);
  t.after(() => file.close());
  return file.fd;
}

/** A receiver that accepts a chunk only when the test calls it. */
class SlowReceiver extends Writable {
  readonly chunks: Buffer[] = [];
  #taken: (() => void) | undefined;

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(chunk: Buffer, _encoding: string, taken: () => void): void {
    // The sender may reuse its buffer only after the chunk is accepted.
    this.#taken = () => {
      this.chunks.push(Buffer.from(chunk));
      taken();
    };
    this.emit('offered');
  }

  take(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  takeAll(): void {
    this.on('offered', () => setImmediate(() => this.take()));
    this.take();
  }
}

for (const [what, size, start, end] of [
  ['a whole file', 3 * largest + 17, 0, 3 * largest + 16],
  ['a file of exactly one buffer', largest, 0, largest - 1],
  ['one byte', 1000, 500, 500],
  ['the last byte', 2 * largest, 2 * largest - 1, 2 * largest - 1],
  ['a range across buffer boundaries', 3 * largest, largest - 1, 2 * largest],
  ['no bytes', 0, 0, -1],
] as const) {
  test(`${what} arrives unchanged, and each byte is reported as progress once`, async (t) => {
    const bytes = randomBytes(size);
    const receiver = new SlowReceiver();
    receiver.takeAll();
    let progress = 0;
    await sendFile(receiver, await fileOf(t, bytes), { start, end }, (sent) => {
      progress += sent;
    });
    assert.ok(Buffer.concat(receiver.chunks).equals(bytes.subarray(start, end + 1)));
    assert.equal(progress, end - start + 1);
  });
}

test('parallel transfers do not mix their bytes, though they reuse buffers', async (t) => {
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const bytes = randomBytes(largest + 3);
      const receiver = new SlowReceiver();
      receiver.takeAll();
      await sendFile(receiver, await fileOf(t, bytes), { start: 0, end: bytes.length - 1 }, () => {});
      assert.ok(Buffer.concat(receiver.chunks).equals(bytes));
    }),
  );
});

test('reads at most two buffers ahead of a receiver that accepts nothing', async (t) => {
  const size = 20 * largest;
  const fd = await fileOf(t, Buffer.alloc(size));
  let read = 0;
  const original = fs.read as (...args: unknown[]) => void;
  t.mock.method(fs, 'read', (...args: unknown[]) => {
    read += args[3] as number;
    original(...args);
  });
  const receiver = new SlowReceiver();
  const sending = sendFile(receiver, fd, { start: 0, end: size - 1 }, () => {});
  for (let taken = 0; taken < 5; taken++) {
    await once(receiver, 'offered');
    // Without waiting, several buffers would be read while this many other reads complete.
    for (let call = 0; call < 200; call++) await stat('/');
    assert.ok(read <= (taken + 2) * largest, `${read} bytes read, ${taken} buffers taken`);
    receiver.take();
  }
  receiver.takeAll();
  await sending;
  assert.equal(read, size);
});

test('a file shorter than its recorded size rejects, after its bytes are sent', async (t) => {
  const receiver = new SlowReceiver();
  receiver.takeAll();
  const fd = await fileOf(t, randomBytes(1000));
  await assert.rejects(
    sendFile(receiver, fd, { start: 0, end: 1999 }, () => {}),
    /shorter than recorded: 1000 bytes not sent/,
  );
});

test('a file that cannot be read rejects with the reason', async (t) => {
  const folder = await open(await temporaryDirectory(t));
  t.after(() => folder.close());
  const sending = sendFile(new SlowReceiver(), folder.fd, { start: 0, end: 9 }, () => {});
  await assert.rejects(sending, { code: 'EISDIR' });
});

test('a receiver that refuses a chunk rejects with its reason', async (t) => {
  const receiver = new Writable({ write: (_chunk, _encoding, done) => done(new Error('broken pipe')) });
  receiver.on('error', () => {});
  const fd = await fileOf(t, randomBytes(3 * largest));
  await assert.rejects(
    sendFile(receiver, fd, { start: 0, end: 3 * largest - 1 }, () => {}),
    /broken pipe/,
  );
});

test('rejects at once when the client disconnects while it waits', async (t) => {
  const receiver = new SlowReceiver();
  const fd = await fileOf(t, randomBytes(3 * largest));
  const sending = sendFile(receiver, fd, { start: 0, end: 3 * largest - 1 }, () => {});
  await once(receiver, 'offered');
  receiver.destroy();
  await assert.rejects(sending);
  assert.equal(receiver.listenerCount('close'), 0);
});

test('rejects when the client has disconnected before the first byte', async (t) => {
  const receiver = new SlowReceiver();
  receiver.on('error', () => {});
  receiver.destroy();
  await once(receiver, 'close');
  const fd = await fileOf(t, randomBytes(3 * largest));
  await assert.rejects(sendFile(receiver, fd, { start: 0, end: 3 * largest - 1 }, () => {}));
});

/** Serves the file once over HTTP; `sent` settles when the transfer ends. */
async function serve(
  t: TestContext,
  fd: number,
  size: number,
): Promise<{ url: string; sent: Promise<void> }> {
  const { promise: sent, resolve, reject } = Promise.withResolvers<void>();
  const server = createServer((_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'Content-Length': size });
    sendFile(response, fd, { start: 0, end: size - 1 }, () => {})
      .then(() => response.end())
      .then(() => resolve(), reject);
  });
  sent.catch(() => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, sent };
}

test('over a socket: the bytes arrive', async (t) => {
  const bytes = randomBytes(5 * largest + 1);
  const { url, sent } = await serve(t, await fileOf(t, bytes), bytes.length);
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  assert.ok((await buffer(response)).equals(bytes));
  await sent;
});

test('over a socket: a client that hangs up in the middle ends the transfer', async (t) => {
  const size = 64 << 20;
  const { url, sent } = await serve(t, await fileOf(t, Buffer.alloc(size)), size);
  const request = get(url, { agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.once('data', () => response.destroy());
  await assert.rejects(sent);
});
