import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { Drain } from './drain.ts';

interface Served {
  readonly drain: Drain;
  readonly server: Server;
  readonly agent: Agent;
  /** Sends a request; resolves with its response. */
  get(path: string): Promise<IncomingMessage>;
  /** Resolves when a request to `/held` arrives, with the function that answers it. */
  held(): Promise<(body: string) => void>;
}

async function serve(t: TestContext): Promise<Served> {
  const drain = new Drain();
  const arrivals = Promise.withResolvers<(body: string) => void>();
  const answer = drain.around(async (request: IncomingMessage, response: ServerResponse) => {
    if (request.url === '/failing') {
      response.end();
      throw new Error('the handler failed');
    }
    if (request.url !== '/held') return void response.end('at once');
    const body = await new Promise<string>((resolve) => arrivals.resolve(resolve));
    response.end(body);
    await once(response, 'close');
  });
  const server = createServer((request, response) => void answer(request, response, 'id').catch(() => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return {
    drain,
    server,
    agent,
    async get(path) {
      const [response] = await once(get({ port, path, agent }), 'response');
      return response as IncomingMessage;
    },
    held: () => arrivals.promise,
  };
}

test('a drain without requests ends at once, and new connections are refused', async (t) => {
  const { drain, server, agent, get } = await serve(t);
  assert.equal(await text(await get('/')), 'at once');
  assert.equal(drain.begun, false);
  await drain.run(server, 60_000);
  assert.equal(drain.begun, true);
  agent.destroy();
  await assert.rejects(get('/'), { code: 'ECONNREFUSED' });
});

test('a drain waits for the running request, which ends normally', async (t) => {
  const { drain, server, get, held } = await serve(t);
  const response = get('/held');
  const answer = await held();
  let drained = false;
  const draining = drain.run(server, 60_000).then(() => {
    drained = true;
  });
  await new Promise(setImmediate);
  assert.equal(drained, false);
  answer('to the end');
  assert.equal(await text(await response), 'to the end');
  await draining;
});

test('a request that exceeds the time limit is cut', async (t) => {
  const { drain, server, get, held } = await serve(t);
  const response = get('/held');
  await held();
  await Promise.all([assert.rejects(response, { code: 'ECONNRESET' }), drain.run(server, 10)]);
});

test('a handler that fails is not waited for', async (t) => {
  const { drain, server, get } = await serve(t);
  await text(await get('/failing'));
  await drain.run(server, 60_000);
});
