import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { exchange, NoAnswer } from '../crash/http-client.ts';
import { cleanUp } from '../support/cleanup.ts';
import { Wire } from './wire.ts';

test('a wire passes bytes, stalls, refuses, breaks, and works again', async (t) => {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end(Buffer.alloc(100_000)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => server.close());
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const wire = await Wire.start(t, { target, cutAfter: () => 50_000 });
  const send = (method: string, body?: Buffer) => exchange(new URL(`http://${wire.host}`), method, {}, body);
  const get = async () => (await send('GET')).rawPayload.length;
  assert.equal(await get(), 100_000);

  wire.set('silent');
  const waiting = get();
  const answered = await Promise.race([waiting.then(() => true), delay(200, false)]);
  assert.equal(answered, false);
  wire.set('open');
  assert.equal(await waiting, 100_000);

  wire.set('unavailable');
  for (const body of [undefined, Buffer.alloc(1 << 20)] as const) {
    const refused = await send('PUT', body);
    assert.equal(refused.statusCode, 503);
    assert.match(refused.rawPayload.toString(), /SlowDown/);
  }

  wire.set('cut');
  await assert.rejects(get(), NoAnswer);
  assert.equal(wire.cuts, 1);
  wire.set('open');
  assert.equal(await get(), 100_000);
});
