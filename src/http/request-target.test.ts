import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RawConnection } from '../../test/faults/raw-connection.ts';
import { Client } from '../../test/support/inject.ts';
import { basic, setVisible } from '../../test/support/people.ts';
import { administratorPassword, testRegistry } from '../../test/support/registry.ts';
import { normalizeTarget } from './request-target.ts';

const administrator = basic('admin', administratorPassword);

/** The canonical target, and the host of the request. */
function normalize(url: string, host = 'registry.test'): [target: string, host: string | undefined] {
  const request = new IncomingMessage(new Socket());
  request.url = url;
  request.headers.host = host;
  const target = normalizeTarget(request);
  assert.equal(request.url, target);
  return [target, request.headers.host];
}

const targets: [sent: string, canonical: string][] = [
  ['/v2/acme/app/manifests/v1.0_a-b', '/v2/acme/app/manifests/v1.0_a-b'],
  ['/v2/%61cme/%61pp/tags/%6c%69%73%74', '/v2/acme/app/tags/list'],
  ['/%76%32/', '/v2/'],
  ['/v2/a/blobs/sha256%3Aab', '/v2/a/blobs/sha256:ab'],
  // An encoded slash separates nothing; the route decides where it is allowed.
  ['/v2/acme%2Fapp/tags/list', '/v2/acme%2Fapp/tags/list'],
  ['/v2%2fa/tags/list', '/v2%2fa/tags/list'],
  // Decoded once.
  ['/v2/%2561', '/v2/%2561'],
  ['/v2/a%252Fb', '/v2/a%252Fb'],
  ['/v2/a%252e%252e', '/v2/a%252e%252e'],
  // Characters that no path contains stay encoded.
  ['/v2/a%00b%0d%0a%20%5c%22', '/v2/a%00b%0d%0a%20%5c%22'],
  ['/v2/%c0%af/%C3%A4/%ff', '/v2/%c0%af/%C3%A4/%ff'],
  ['/v2/%61%zz', '/v2/%61%zz'],
  ['/v2/%%361', '/v2/%%361'],
  ['/v2/a%', '/v2/a%'],
  // Dot segments have no meaning, in any spelling.
  ['/v2/a/%2e%2e/%2E/metrics', '/v2/a/.././metrics'],
  ['/v2/../metrics', '/v2/../metrics'],
  // Empty segments around v2 are removed; in a name they are an error.
  ['//v2/', '/v2/'],
  ['/v2//', '/v2/'],
  ['//v2', '/v2'],
  ['///v2///acme/app/tags/list', '/v2/acme/app/tags/list'],
  ['/v2/acme//app/tags/list', '/v2/acme//app/tags/list'],
  ['//v2x//a', '/v2x//a'],
  ['//auth/token?scope=a', '/auth/token?scope=a'],
  ['//', '/'],
  // The query does not change.
  ['/v2/%61?last=%61%2F//&x=%zz', '/v2/a?last=%61%2F//&x=%zz'],
  ['//?//', '/?//'],
  ['*', '*'],
  ['', ''],
];

for (const [sent, canonical] of targets) {
  test(`${sent} is ${canonical}`, () => {
    assert.deepEqual(normalize(sent), [canonical, 'registry.test']);
  });
}

for (const [sent, target, host] of [
  ['http://other.test/v2/', '/v2/', 'other.test'],
  ['HTTPS://other.test:8443//v2/%61?n=1', '/v2/a?n=1', 'other.test:8443'],
  ['http://[::1]:5000/v2/', '/v2/', '[::1]:5000'],
  ['http://other.test', '/', 'other.test'],
  ['http://other.test?n=1', '/?n=1', 'other.test'],
  // Not for an origin server: another scheme, or no host.
  ['ftp://other.test/v2/', 'ftp://other.test/v2/', 'registry.test'],
  ['http:///v2/', 'http:///v2/', 'registry.test'],
  ['http:/v2/', 'http:/v2/', 'registry.test'],
  ['other.test:443', 'other.test:443', 'registry.test'],
] as const) {
  test(`${sent} is ${target} at host ${host}`, () => assert.deepEqual(normalize(sent), [target, host]));
}

test('normalizing is idempotent, and decodes only path characters', () => {
  const unit = fc.constantFrom(
    '/',
    '//',
    'v2',
    '%',
    '%2',
    '%25',
    '%61',
    '%2f',
    '%2e',
    '.',
    '?',
    'a',
    'http://',
    '%00',
  );
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 12 }), (units) => {
      const [once] = normalize(`/${units.join('')}`);
      assert.equal(normalize(once)[0], once);
    }),
    { numRuns: 2_000 },
  );
});

test('a percent-encoded path character means the same as the plain one', () => {
  const path = '/v2/acme/app.x_y/blobs/sha256:0123abc';
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: path.length, maxLength: path.length }), (chosen) => {
      const spelt = [...path].map((character, i) =>
        chosen[i] && character !== '/' ? `%${character.charCodeAt(0).toString(16)}` : character,
      );
      assert.equal(normalize(spelt.join(''))[0], path);
    }),
  );
});

describe('on a connection', () => {
  test('every spelling gets the answer of the plain one: the API, its links, the token server, the pages', async (t) => {
    const { app, database } = await testRegistry(t, { anonymous: 'public' });
    const image = await new Client(app.http, administrator).pushImage('acme/app', 'v1');
    await setVisible(database, 'acme/app', 'public');
    const connection = await RawConnection.to((await app.listen()).url);
    t.after(() => connection.destroy());
    const get = async (target: string) => {
      connection.request('GET', target);
      const answer = await connection.response();
      return { status: answer?.status, body: answer?.body.toString(), headers: answer?.headers ?? {} };
    };
    for (const [plain, ...spellings] of [
      ['/v2/', '//v2/', '/v2//', '/v2', '/%76%32/', 'http://registry.test/v2/', 'http://registry.test//v2//'],
      [
        '/v2/acme/app/tags/list?n=0',
        '/v2/acme%2Fapp/tags/list?n=0',
        '/v2/acme%2fapp/tags/list/?n=0',
        '//v2//%61cme/app/t%61gs/list?n=0',
        'http://registry.test/v2/acme%2Fapp/tags/list?n=0',
      ],
      [
        `/v2/acme/app/manifests/${image.digest}`,
        `/v2/acme%2Fapp/manifests/${image.digest.replace(':', '%3A')}`,
        `/v2/acme/app/manifests/${image.digest}/`,
      ],
      ['/healthz', '//healthz', '/%68ealthz', '/healthz/', 'http://registry.test/healthz'],
      ['/auth/sign-in', '//auth/sign-in', '/auth/sign-in/', 'http://registry.test/auth/%73ign-in'],
    ] as const) {
      const expected = await get(plain);
      assert.ok([200, 401].includes(expected.status as number), plain);
      for (const spelling of spellings) {
        const { status, body, headers } = await get(spelling);
        assert.deepEqual([status, body], [expected.status, expected.body], spelling);
        assert.equal(headers['www-authenticate'], expected.headers['www-authenticate'], spelling);
      }
    }
    const token = await get('http://registry.test//auth/token/?scope=repository:acme/app:pull');
    assert.equal(token.status, 200);
  });

  test('Link and Location have the plain spelling', async (t) => {
    const { app } = await testRegistry(t);
    const client = new Client(app.http);
    for (const tag of ['v1', 'v2']) await client.pushImage('acme/app', tag);
    const { headers } = await client.get('/v2/acme%2Fapp/tags/list/?n=1');
    assert.equal(headers.link, '</v2/acme/app/tags/list?n=1&last=v1>; rel="next"');
    const opened = await client.send('POST', '/v2/%61cme%2Fapp/blobs/uploads');
    assert.match(opened.headers.location ?? '', /^\/v2\/acme\/app\/blobs\/uploads\/[\da-f-]+$/);
  });

  test('the host of an absolute-form target replaces Host in the URL of the token server', async (t) => {
    const { app } = await testRegistry(t, { anonymous: 'none' });
    const connection = await RawConnection.to((await app.listen()).url);
    t.after(() => connection.destroy());
    for (const [target, realm] of [
      ['http://other.test:5000/v2/', 'http://other.test:5000/auth/token'],
      ['https://other.test/v2/', 'http://other.test/auth/token'],
    ]) {
      connection.request('GET', target as string);
      const answer = await connection.response();
      assert.equal(answer?.status, 401);
      assert.equal(answer.headers['www-authenticate'], `Bearer realm="${realm}",service="berth"`);
    }
  });

  test('rights are checked for the decoded name', async (t) => {
    const { app } = await testRegistry(t, { anonymous: 'public' });
    const admin = new Client(app.http, administrator);
    await admin.pushImage('acme/hidden', 'v1');
    for (const name of ['acme/hidden', 'acme%2Fhidden', '%61cme/hidde%6e', 'acme%2fhidde%6E']) {
      const answer = await new Client(app.http).get(`/v2/${name}/manifests/v1`);
      assert.equal(answer.status, 401, name);
      assert.match(answer.headers['www-authenticate'] ?? '', /scope="repository:acme\/hidden:pull"/);
    }
  });
});
