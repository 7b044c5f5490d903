import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { connect } from '../../test/support/inject.ts';
import type { Identity } from '../access/identity.ts';
import { clientsOf } from '../http/client.ts';
import { HttpRequest } from '../http/request.ts';
import { type Limits, limitsOf } from './limits.ts';
import { parseRoute } from './routes.ts';

const limitHeaders = (headers: Readonly<Record<string, unknown>>) =>
  ['ratelimit-limit', 'ratelimit-remaining', 'docker-ratelimit-source'].map((name) => headers[name]);

test('counts each GET of a manifest as a pull, no HEAD, and sends the headers of Docker Hub', async (t) => {
  const client = await connect(t, { rateLimits: { pullsPerAddress: 3, pullWindow: '6h' } });
  const { digest } = await client.pushImage('acme/app', 'v1');
  const url = '/v2/acme/app/manifests/v1';
  const state = (left: number) => ['3;w=21600', `${left};w=21600`, '127.0.0.1'];
  assert.deepEqual(limitHeaders((await client.head(url)).headers), state(3));
  assert.deepEqual(limitHeaders((await client.get(url)).headers), state(2));
  assert.deepEqual(limitHeaders((await client.get(`/v2/acme/app/manifests/${digest}`)).headers), state(1));
  assert.deepEqual(limitHeaders((await client.head(url)).headers), state(1));
  assert.deepEqual(limitHeaders((await client.get(url)).headers), state(0));

  const refused = await client.get(url);
  assert.equal(refused.status, 429);
  assert.deepEqual(limitHeaders(refused.headers), state(0));
  const wait = Number(refused.headers['retry-after']);
  assert.ok(wait > 0 && wait <= 21_600, `${wait}`);
  const { errors } = refused.json<{ errors: { code: string; detail: string }[] }>();
  assert.deepEqual(
    errors.map(({ code, detail }) => [code, detail]),
    [['TOOMANYREQUESTS', 'pull limit of 127.0.0.1 reached: 3 in 21600 seconds']],
  );

  const head = await client.head(url);
  assert.deepEqual([head.status, ...limitHeaders(head.headers)], [200, ...state(0)]);
});

test('other requests than pulls are neither counted nor refused', async (t) => {
  const client = await connect(t, { rateLimits: { pullsPerAddress: 1 } });
  await client.pushImage('acme/app', 'v1');
  const blob = await client.pushBlob('acme/app', 'layer');
  assert.equal((await client.get('/v2/acme/app/manifests/v1')).status, 200);
  assert.equal((await client.get('/v2/acme/app/manifests/v1')).status, 429);
  for (const url of ['/v2/', '/v2/acme/app/tags/list', `/v2/acme/app/blobs/${blob}`]) {
    const answer = await client.get(url);
    assert.deepEqual(
      [answer.status, ...limitHeaders(answer.headers)],
      [200, undefined, undefined, undefined],
    );
  }
  await client.pushImage('acme/app', 'v2');
});

test('an address over its request limit is refused before any work', async (t) => {
  const client = await connect(t, { rateLimits: { requestsPerAddress: 5 }, anonymous: 'none' });
  for (let i = 0; i < 5; i++) assert.equal((await client.get('/v2/')).status, 401);
  for (const url of ['/v2/', '/v2/no/such/thing', '/v2/acme/app/manifests/v1']) {
    const answer = await client.get(url);
    assert.equal(answer.status, 429, url);
    assert.equal(answer.headers['retry-after'], '12');
    assert.match(
      answer.body.toString(),
      /TOOMANYREQUESTS.*too many requests from this address: at most 5 in a minute/,
    );
  }
  const upload = await client.send('POST', '/v2/acme/app/blobs/uploads/', {}, 'x'.repeat(100));
  assert.deepEqual([upload.status, upload.headers.connection], [429, 'close']);
});

test('without limits the API has no limiter and sends no headers', async (t) => {
  const parts = { uncounted() {}, database: await dialects[0]!.open(t) };
  assert.equal(limitsOf({ pullWindow: 1 }, parts), undefined);
  const client = await connect(t);
  await client.pushImage('acme/app', 'v1');
  const { headers } = await client.get('/v2/acme/app/manifests/v1');
  assert.deepEqual(limitHeaders(headers), [undefined, undefined, undefined]);
});

const user = (id: number): Identity => ({
  principal: { kind: 'user', id, name: `user${id}` },
  credential: { kind: 'token', id: 1 },
});

function admit(limits: Limits, identity: Identity, path: string): Promise<unknown> {
  const incoming = new IncomingMessage(new Socket());
  Object.assign(incoming, { method: 'GET', url: path });
  const request = new HttpRequest(incoming, new ServerResponse(incoming), '', { clientOf: clientsOf([]) });
  return limits.admit(request, parseRoute('GET', path), identity);
}

test('users have their own limits of requests and of pulls', async (t) => {
  const database = await dialects[0]!.open(t);
  const limits = limitsOf(
    { requestsPerUser: 3, pullsPerUser: 1, pullWindow: 60_000 },
    { database, uncounted: () => assert.fail() },
  ) as Limits;
  const manifest = '/v2/acme/app/manifests/v1';
  await admit(limits, user(1), manifest);
  await assert.rejects(admit(limits, user(1), manifest), {
    code: 'TOOMANYREQUESTS',
    detail: 'pull limit of user1 reached: 1 in 60 seconds',
  });
  await admit(limits, user(1), '/v2/');
  await assert.rejects(admit(limits, user(1), '/v2/'), {
    code: 'TOOMANYREQUESTS',
    detail: 'too many requests by user1: at most 3 in a minute',
    retryAfter: 20,
  });
  await admit(limits, user(2), manifest);
});

test('a network with too many open uploads gets 429 with Retry-After; another network is not affected', async (t) => {
  const client = await connect(t, { limits: { uploadsPerAccount: 3 }, trustedProxies: ['127.0.0.1'] });
  const start = (address: string, query = '') =>
    client.send('POST', `/v2/app/blobs/uploads/${query}`, { 'x-forwarded-for': address });
  const [first] = await Promise.all(['2001:db8::1', '2001:db8::2', '2001:db8::3'].map((a) => start(a)));
  const refused = await start('2001:db8::4');
  assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '10']);
  const { errors } = refused.json<{ errors: { code: string; detail: string }[] }>();
  assert.deepEqual(
    errors.map(({ code, detail }) => [code, detail]),
    [['TOOMANYREQUESTS', '3 uploads are open: limits.uploadsPerAccount is 3']],
  );
  assert.equal((await start('2001:db8::4', `?mount=sha256:${'0'.repeat(64)}&from=other`)).status, 429);
  assert.equal((await start('2001:db8:0:1::1')).status, 202);
  assert.equal((await client.delete(first!.headers.location!)).status, 204);
  assert.equal((await start('2001:db8::4')).status, 202);
});
