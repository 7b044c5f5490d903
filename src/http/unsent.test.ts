import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { RawConnection } from '../../test/faults/raw-connection.ts';
import { UnsentAnswers } from './unsent.ts';

/** More bytes than the operating system buffers for a client that does not read. */
const large = Buffer.alloc(48 << 20);

async function serve(t: TestContext, limit: number) {
  const unsent = new UnsentAnswers(limit);
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    responses.push(response);
    response.end(large);
    unsent.add(response, large.length);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { unsent, responses, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function read(url: string): Promise<number> {
  return (await (await fetch(url)).arrayBuffer()).byteLength;
}

test('beyond the limit, the connections of the oldest unread answers are cut; a read answer no longer counts', async (t) => {
  const { unsent, responses, server, url } = await serve(t, 2.5 * large.length);
  const unread: RawConnection[] = [];
  for (let i = 0; i < 2; i++) {
    const connection = await RawConnection.to(url);
    connection.socket.pause();
    connection.request('GET', '/');
    await once(server, 'request');
    unread.push(connection);
  }
  assert.equal(unsent.bytes, 2 * large.length);
  assert.equal(await read(url), large.length);
  assert.deepEqual(
    responses.slice(0, 2).map(({ destroyed }) => destroyed),
    [true, false],
  );
  assert.equal(unsent.bytes, large.length);

  const finished = once(responses[1] as ServerResponse, 'finish');
  for (const connection of unread) connection.socket.resume();
  await finished;
  assert.equal(unsent.bytes, 0);
});

test('an answer larger than the limit is sent, and one of a disconnected client is not counted', async (t) => {
  const { unsent, url } = await serve(t, 1);
  assert.equal(await read(url), large.length);
  assert.equal(unsent.bytes, 0);
  unsent.add({ destroyed: true } as ServerResponse, large.length);
  assert.equal(unsent.bytes, 0);
});
