import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { oneAtATime } from './one-at-a-time.ts';

/** A server whose requests the test answers, and a connection to it. */
async function begin(t: TestContext): Promise<{ begun: [string, ServerResponse][]; client: Socket }> {
  const begun: [string, ServerResponse][] = [];
  const server = createServer(
    oneAtATime((request, response) => void begun.push([request.url as string, response])),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  await once(client, 'connect');
  return { begun, client };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

const requestTo = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const paths = Array.from({ length: 500 }, (_, i) => `/${i}`);

test('pipelined requests start one after another, and are answered in order', async (t) => {
  const { begun, client } = await begin(t);
  let received = '';
  client.on('data', (bytes) => {
    received += bytes;
  });
  client.write(paths.map(requestTo).join(''));
  for (const [i, path] of paths.entries()) {
    await until(() => begun.length > i);
    await turn();
    assert.equal(begun.length, i + 1, `${path} is answered before the next starts`);
    assert.equal(begun[i]?.[0], path);
    begun[i]?.[1].end(`answer ${path};`);
  }
  await until(() => received.includes('answer /499;'));
  assert.deepEqual(
    [...received.matchAll(/answer (\/\d+);/g)].map(([, path]) => path),
    paths,
  );
});

test('requests still queued when the connection ends never start', async (t) => {
  const { begun, client } = await begin(t);
  client.write(paths.map(requestTo).join(''));
  await until(() => begun.length === 1);
  client.destroy();
  const [[, response] = []] = begun;
  if (!response?.closed) await once(response as ServerResponse, 'close');
  for (let i = 0; i < 10; i++) await turn();
  assert.equal(begun.length, 1);
});
