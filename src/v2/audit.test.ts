import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeUser } from '../../test/support/access.ts';
import { Client, digestOf, unknownUpload } from '../../test/support/inject.ts';
import { makeLogin } from '../../test/support/people.ts';
import { type ConfigInput, testRegistry } from '../../test/support/registry.ts';
import type { ActingDatabase } from '../administration/change.ts';
import { createUser } from '../administration/users.ts';
import { type AuditEntry, listAuditEntries } from '../db/audit-events.ts';
import { inspectSqlite } from '../db/sqlite/inspect.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';

/** The audit log after `use` has run and the registry has stopped. */
async function logOf(
  t: TestContext,
  config: ConfigInput,
  use: (client: Client, database: ActingDatabase) => Promise<unknown>,
) {
  const {
    app,
    data,
    database: used,
  } = await testRegistry(t, config, async (data) => ({
    database: await openSqlite(join(data, 'berth.db')),
  }));
  await use(new Client(app.http), used);
  await app.close();
  await using opened = new AsyncDisposableStack();
  const database = await inspectSqlite(join(data, 'berth.db'));
  opened.defer(() => database.close());
  return await listAuditEntries(database.read, {}, undefined, 1_000);
}

const refusalsOf: typeof logOf = async (...args) =>
  (await logOf(...args)).filter(({ allowed }) => allowed === 0);

const brief = ({ action, tag, digest }: AuditEntry) => [action, tag, digest];

test('a push that creates a namespace is recorded once, with its account', async (t) => {
  const config = { anonymous: 'public', access: { createNamespaces: 'users' } } as const;
  const log = await logOf(t, config, async (client, database) => {
    const id = await makeUser(database, 'alice');
    const { headers } = await makeLogin(database, { id, name: 'alice' });
    await client.as(headers).pushImage('fresh/app', 'v1');
    await client.as(headers).pushImage('fresh/web', 'v1');
  });
  const made = log.filter(({ action }) => action === 'organisation.create');
  assert.deepEqual(
    made.map(({ allowed, actor_name, detail }) => [allowed, actor_name, JSON.parse(detail ?? '')]),
    [[1, 'alice', { organisation: 'fresh', repository: 'fresh/app' }]],
  );
  assert.ok(made[0]?.address && made[0].request_id);
});

test('records each step of a push and each deletion, with tag and digest, but no request without a change', async (t) => {
  const layer = digestOf('layer');
  let image = '';
  const log = await logOf(t, {}, async (client) => {
    await client.get('/v2/');
    await client.pushBlob('acme/app', 'layer');
    const monolithic = `/v2/acme/web/blobs/uploads/?digest=${digestOf('whole')}`;
    assert.equal((await client.send('POST', monolithic, {}, 'whole')).status, 201);
    const mount = `/v2/acme/web/blobs/uploads/?mount=${layer}&from=acme/app`;
    assert.equal((await client.send('POST', mount)).status, 201);
    const missing = `/v2/acme/web/blobs/uploads/?mount=${digestOf('nowhere')}&from=acme/app`;
    assert.equal((await client.send('POST', missing)).status, 202);
    ({ digest: image } = await client.pushImage('acme/app', 'v1'));
    await client.putManifest('acme/app', `${image}?tag=a&tag=b`, await bytesOf(client, image));
    await client.get('/v2/acme/app/manifests/v1');
    await client.get(`/v2/acme/app/blobs/${layer}`);
    await client.get('/v2/acme/app/manifests/nothing');
    await client.delete('/v2/acme/app/manifests/nothing');
    await client.delete('/v2/acme/app/manifests/a');
    await client.delete(`/v2/acme/app/manifests/${image}`);
    const never = `/v2/acme/app/blobs/uploads/${unknownUpload}`;
    assert.equal((await client.finish(never, layer)).status, 404);
    await client.delete(`/v2/acme/app/blobs/${layer}`);
  });
  const pushes = log.filter(({ action }) => action === 'blob.push');
  assert.deepEqual(pushes.slice(0, 2).map(brief), [
    ['blob.push', null, layer],
    ['blob.push', null, digestOf('whole')],
  ]);
  assert.equal(pushes.length, 4, 'with the image’s config and layer');
  const others = log.filter(({ action }) => action !== 'blob.push');
  assert.deepEqual(others.map(brief), [
    ['blob.mount', null, layer],
    ['manifest.push', 'v1', image],
    ['manifest.push', 'a', image],
    ['manifest.push', 'b', image],
    ['tag.delete', 'a', image],
    ['tag.delete', 'b', image],
    ['tag.delete', 'v1', image],
    ['manifest.delete', null, image],
    ['blob.delete', null, layer],
  ]);
  assert.deepEqual(
    others.map(({ detail }) => detail && JSON.parse(detail)),
    [{ from: 'acme/app' }, ...Array(8).fill(null)],
  );
  for (const row of log) {
    const { source, allowed, actor, address, client, status, error } = row;
    assert.deepEqual([source, allowed, actor, address], ['change', 1, 'anonymous', '127.0.0.1']);
    assert.deepEqual([client, status, error], ['lightMyRequest', null, null]);
    assert.ok(row.at > 0 && row.request_id);
  }
});

async function bytesOf(client: Client, digest: string): Promise<Buffer> {
  return (await client.get(`/v2/acme/app/manifests/${digest}`)).body;
}

test('the event of a moved tag has the digest that the tag pointed to before; a repeated final PUT is one push', async (t) => {
  let [first, second] = ['', ''];
  const log = await logOf(t, {}, async (client) => {
    ({ digest: first } = await client.pushImage('acme/app', 'v1'));
    const upload = await client.openUpload('acme/app');
    const sent = await client.patch(upload, 'once');
    for (const _ of ['response lost', 'sent again']) {
      assert.equal((await client.finish(sent.headers.location as string, digestOf('once'))).status, 201);
    }
    ({ digest: second } = await client.pushImage('acme/app', 'v1'));
  });
  assert.equal(log.filter(({ digest }) => digest === digestOf('once')).length, 1);
  assert.deepEqual(
    log
      .filter(({ action }) => action === 'manifest.push')
      .map(({ tag, old_digest, digest }) => [tag, old_digest, digest]),
    [
      ['v1', null, first],
      ['v1', first, second],
    ],
  );
});

test('records pulls of manifests and blobs if enabled, and no HEAD', async (t) => {
  const log = await logOf(t, { audit: { pulls: true } }, async (client) => {
    const { digest } = await client.pushImage('acme/app', 'v1');
    const layer = await client.pushBlob('acme/app', 'layer');
    await client.get('/v2/acme/app/manifests/v1');
    await client.head('/v2/acme/app/manifests/v1');
    await client.get(`/v2/acme/app/manifests/${digest}`, { 'if-none-match': `"${digest}"` });
    await client.get(`/v2/acme/app/blobs/${layer}`, { range: 'bytes=0-1' });
    await client.head(`/v2/acme/app/blobs/${layer}`);
    await client.get('/v2/acme/app/manifests/nothing');
  });
  const pulls = log.filter(({ action }) => action.endsWith('.pull'));
  assert.deepEqual(
    pulls.map(({ action, tag, status }) => [action, tag, status]),
    [
      ['manifest.pull', 'v1', 200],
      ['blob.pull', null, 206],
    ],
  );
  assert.ok(pulls.every(({ digest }) => digest?.startsWith('sha256:')));
});

test('records every refusal under the requested action', async (t) => {
  const digest = digestOf('anything');
  const id = '6f1c0a52-6f0b-4a7c-9a3e-2f1f3d5b7c99';
  const wanted: [method: string, url: string, action: string][] = [
    ['PUT', 'manifests/v1', 'manifest.push'],
    ['DELETE', 'manifests/v1', 'tag.delete'],
    ['DELETE', `manifests/${digest}`, 'manifest.delete'],
    ['DELETE', `blobs/${digest}`, 'blob.delete'],
    ['POST', 'blobs/uploads/', 'upload.start'],
    ['POST', `blobs/uploads/?mount=${digest}&from=acme/web`, 'blob.mount'],
    ['PATCH', `blobs/uploads/${id}`, 'upload.write'],
    ['GET', `blobs/uploads/${id}`, 'upload.read'],
    ['DELETE', `blobs/uploads/${id}`, 'upload.cancel'],
  ];
  const log = await refusalsOf(t, { anonymous: 'pull' }, async (client, database) => {
    await createUser(database, { name: 'bob', password: 'the password of bob' });
    const authorization = `Basic ${btoa('bob:the password of bob')}`;
    for (const [method, url] of wanted) {
      const answer = await client.send(method, `/v2/acme/app/${url}`, { authorization });
      assert.equal(answer.status, 403, `${method} ${url}`);
    }
  });
  assert.deepEqual(
    log.map(({ action }) => action),
    wanted.map(([, , action]) => action),
  );
  for (const row of log) {
    assert.deepEqual([row.allowed, row.error, row.repository], [0, 'DENIED', 'acme/app']);
    assert.deepEqual([row.actor_name, row.credential], ['bob', 'password']);
  }
});

test('a challenge to a request without credentials is not recorded; wrong credentials are', async (t) => {
  const digest = digestOf('anything');
  const urls = [
    '',
    '_catalog',
    'a/tags/list',
    `a/referrers/${digest}`,
    `a/blobs/${digest}`,
    'a/manifests/v1',
  ];
  const log = await refusalsOf(t, { anonymous: 'none' }, async (client) => {
    for (const url of urls) assert.equal((await client.get(`/v2/${url}`)).status, 401);
    for (const url of urls) await client.get(`/v2/${url}`, { authorization: 'Basic d3Jvbmc6d3Jvbmc=' });
  });
  assert.deepEqual(
    log.map(({ action, error }) => [action, error]),
    ['api.check', 'repository.list', 'tag.list', 'referrer.list', 'blob.pull', 'manifest.pull'].map(
      (action) => [action, 'UNAUTHORIZED'],
    ),
  );
});

test('records wrong Basic credentials under the given name, also after too many failures', async (t) => {
  const name = `al\u0007ice${'e'.repeat(1_000)}`;
  const clean = `${name.slice(0, 63).replace('\u0007', '\u{fffd}')}…`;
  const log = await refusalsOf(t, { anonymous: 'pull', limits: { loginsPerAddress: 1 } }, async (client) => {
    for (const status of [401, 429]) {
      const authorization = `Basic ${Buffer.from(`${name}:wrong`).toString('base64')}`;
      assert.equal((await client.get('/v2/acme/app/tags/list', { authorization })).status, status);
    }
    await client.get('/v2/', { authorization: 'Bearer wrong' });
  });
  assert.deepEqual(
    log.map(({ action, allowed, actor_name, credential, status }) => [
      action,
      allowed,
      actor_name,
      credential,
      status,
    ]),
    [
      ['tag.list', 0, clean, 'none', 401],
      ['tag.list', 0, clean, 'none', 429],
      ['api.check', 0, '', 'none', 401],
    ],
  );
  assert.match(log[0]!.actor, /^holder:al/);
  assert.equal(log[2]!.actor, 'anonymous');
});

test('a request over the rate limit is not recorded as a refusal', async (t) => {
  const log = await logOf(t, { rateLimits: { requestsPerAddress: 1 } }, async (client) => {
    const authorization = `Basic ${btoa('alice:wrong')}`;
    assert.equal((await client.get('/v2/')).status, 200);
    assert.equal((await client.get('/v2/', { authorization })).status, 429);
  });
  assert.deepEqual(log, []);
});
