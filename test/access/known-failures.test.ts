// Security failures of other registries that no other test covers; see docs/explanation/known-failures.md.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeProtectedHeader } from 'jose';
import { createUser } from '../../src/administration/users.ts';
import { unlinkBlob } from '../../src/db/blob-links.ts';
import { findRepository } from '../../src/db/repositories.ts';
import { findUser } from '../../src/db/users.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { type Namespace, parseName } from '../../src/oci/name.ts';
import { openDatabase } from '../../src/open.ts';
import { clientOf } from '../crash/http-client.ts';
import { makeRobot, makeUser } from '../support/access.ts';
import { origin, TestBrowser } from '../support/browser.ts';
import { examine } from '../support/fsck.ts';
import { type Answer, assertError, Client, type Headers } from '../support/inject.ts';
import { basic, connectPeople, fetchToken, makeLogin } from '../support/people.ts';
import { startBerth } from '../support/process.ts';
import { processTime, timeRatio } from '../support/ratio.ts';
import { administratorPassword, testRegistry } from '../support/registry.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(`${root}docs/explanation/known-failures.md`, 'utf8');
const admin = basic('admin', administratorPassword);

test('known-failures.md has each failure once and names existing tests', () => {
  const sections = page.split(/^### /m).slice(1);
  const numbers = sections.map((section) => section.slice(0, section.indexOf('.')));
  const wanted = (letter: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
  assert.deepEqual(numbers, [...wanted('A', 21), ...wanted('B', 14)]);
  for (const section of sections) {
    const proofs = [
      ...section
        .replaceAll(/\s+/g, ' ')
        .trim()
        .matchAll(/\[`([^`]+)`\]\([^)]+\): “(.+?)”(?= -|$| #)/g),
    ];
    assert.ok(proofs.length > 0, `no test is named in ${section}`);
    assert.equal(
      proofs.length,
      section.split('](../../').length - 1,
      `a link to a test lacks the test's name in ${section}`,
    );
    for (const [, file = '', name = ''] of proofs) {
      assert.ok(existsSync(root + file), file);
      assert.ok(readFileSync(root + file, 'utf8').includes(name), `${file} has no test “${name}”`);
    }
  }
});

/** Starts a Berth process with logins; its administrator is {@link admin}. */
function start(t: TestContext, data?: string) {
  return startBerth(t, {
    args: ['--allow-anonymous', 'public'],
    env: { BERTH_ADMIN_PASSWORD: administratorPassword },
    ...(data !== undefined && { data }),
  });
}

test('A4: a blob deleted in one repository stays deleted there while another holds it, also after a restart', async (t) => {
  let berth = await start(t);
  const client = () => clientOf(berth.url).as(admin);
  const digest = await client().pushBlob('a/app', 'bytes of both');
  await client().pushBlob('b/app', 'bytes of both');
  for (const name of ['a/app', 'b/app'])
    assert.equal((await client().get(`/v2/${name}/blobs/${digest}`)).status, 200);
  assert.equal((await client().delete(`/v2/a/app/blobs/${digest}`)).status, 202);
  const look = async () => {
    for (let i = 0; i < 2; i++) {
      assert.equal((await client().get(`/v2/b/app/blobs/${digest}`)).status, 200);
      assertError(await client().get(`/v2/a/app/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
      assert.equal((await client().head(`/v2/a/app/blobs/${digest}`)).status, 404);
    }
  };
  await look();
  await berth.stop();
  berth = await start(t, berth.data);
  await look();
});

test('A6: fsck links no blob to a repository because its manifests reference it', async (t) => {
  const berth = await start(t);
  const client = clientOf(berth.url).as(admin);
  const layer = await client.pushContent('a/app', 'of one repository alone');
  const image = await client.image('b/app');
  await client.pushBlob('b/app', 'of one repository alone');
  await client.pushManifest('b/app', { ...image, layers: [layer] }, 'v1');
  const database = await openDatabase({ data: berth.data, database: { poolSize: 1 } });
  t.after(() => database.close());
  await database.transaction(async (db) => {
    const b = (await findRepository(db, parseName('b/app'))) as number;
    await unlinkBlob(db, b, layer.digest as Digest);
  });
  const { findings } = await examine(berth.data);
  assert.ok(
    findings.some((finding) => JSON.stringify(finding).includes(layer.digest)),
    'fsck did not report the layer',
  );
  assertError(await client.get(`/v2/b/app/blobs/${layer.digest}`), 404, 'BLOB_UNKNOWN');
  assert.equal((await client.get(`/v2/a/app/blobs/${layer.digest}`)).status, 200);
});

/** A registry in this process with browser sign-in and a user `bob`. */
async function registryWithBob(t: TestContext) {
  const { app, database } = await testRegistry(t, { anonymous: 'public', externalUrl: origin });
  await createUser(database, { name: 'bob', password: bobsPassword });
  return { database, client: new Client(app.http), browser: new TestBrowser(app.http) };
}

const bobsPassword = 'password of bob';
const bob = basic('bob', bobsPassword);

test('A16: additional form fields give no rights', async (t) => {
  const { database, client, browser } = await registryWithBob(t);
  const more = {
    administrator: '1',
    isAdmin: 'true',
    role: 'admin',
    id: '1',
    account_id: '1',
    owner: 'admin',
  };
  const signedIn = await browser.post('/auth/sign-in', {
    username: 'bob',
    password: bobsPassword,
    to: '',
    ...more,
  });
  assert.equal(signedIn.statusCode, 303);
  const form = { form: await browser.formToken(), name: 'mine', days: '30', scopes: '' };
  const made = await browser.post('/auth/account/tokens', { ...form, ...more });
  const token = /brth_\w+/.exec(made.body)?.[0] as string;
  const fields = { grant_type: 'password', username: 'bob', password: token, scope: 'repository:acme/app:*' };
  const answer = await browser.post('/auth/token', { ...fields, ...more });
  assert.deepEqual([answer.statusCode, answer.json<{ scope: string }>().scope], [200, '']);

  const account = await findUser(database.read, 'bob' as Namespace);
  assert.equal(account?.administrator, false);
  assert.equal((await client.fetch('GET', '/metrics', basic('bob', token))).status, 403);
  assertError(await client.get('/v2/', basic('admin', token)), 401, 'UNAUTHORIZED');
});

test('A17: a name that looks like an administrator’s gives no rights', async (t) => {
  const { client, database, logins } = await connectPeople(t);
  const { digest } = await client.as(logins.root).pushImage('acme/app', 'v1');
  const owner = await makeUser(database, 'system');
  const names = [
    'administrator',
    'berth',
    'registry',
    'scanner-1',
    'library-robot',
    'anonymous',
    'system+admin',
  ];
  for (const name of names) {
    const isRobot = name.includes('+');
    const id = isRobot ? await makeRobot(database, name, owner) : await makeUser(database, name);
    const { headers } = await makeLogin(database, { id, name });
    const person = client.as(headers);
    assertError(await person.get('/v2/acme/app/manifests/v1'), 403, 'DENIED');
    assertError(await person.delete(`/v2/acme/app/manifests/${digest}`), 403, 'DENIED');
    for (const target of ['acme/app', 'library/app', 'app', `${name}x/app`].filter(
      (target) => !target.includes('+'),
    )) {
      assertError(await person.send('POST', `/v2/${target}/blobs/uploads/`), 403, 'DENIED');
    }
    assert.deepEqual((await person.get('/v2/_catalog')).json(), { repositories: [] });
    assert.equal((await client.fetch('GET', '/metrics', headers)).status, 403);
  }
});

test('A18: metrics and answers to other users contain no repository names', async (t) => {
  const { client, logins } = await connectPeople(t);
  const root = client.as(logins.root);
  const layer = await root.pushContent('acme/hidden', 'hidden bytes');
  const image = await root.pushImage('acme/hidden', 'hidden-tag');
  await root.get('/v2/acme/hidden/manifests/hidden-tag');
  await root.get('/v2/acme/hidden/manifests/absent');
  const stranger = client.as(logins.stranger);
  const own = await stranger.image('stranger/app');
  const answers = [
    await client.fetch('GET', '/metrics', logins.root),
    ...(await stranger.walk('/v2/_catalog?n=1')),
    await stranger.get('/v2/_catalog?last=acme/hiddem'),
    await stranger.get(`/v2/stranger/app/manifests/${image.digest}`),
    await stranger.get(`/v2/stranger/app/referrers/${image.digest}`),
    await stranger.get(`/v2/stranger/app/blobs/${layer.digest}`),
    await stranger.send('POST', `/v2/stranger/app/blobs/uploads/?mount=${layer.digest}`),
    await stranger.putManifest('stranger/app', 'v1', { ...own, layers: [layer] }),
    await client.fetch(
      'GET',
      '/auth/token?scope=repository:acme/*:pull&scope=registry:catalog:*',
      logins.stranger,
    ),
    await client.get('/v2/', logins.revoked),
  ];
  assert.equal(answers.length, 10);
  for (const { body, headers } of answers) {
    assert.ok(!`${body} ${JSON.stringify(headers)}`.includes('hidden'), body.toString());
  }
  assert.match((answers[0] as Answer).body.toString(), /^berth_/m);
});

test('B6: a wrong password takes the same time for existing and unknown users', async (t) => {
  const limits = { loginsPerAddress: 10_000, loginsPerAccount: 10_000 };
  const { app } = await testRegistry(t, { anonymous: 'public', limits });
  const client = new Client(app.http);
  const login = (name: string) => async (): Promise<void> => {
    const { status } = await client.fetch('GET', '/auth/token', basic(name, 'wrong'));
    assert.equal(status, 401);
  };
  // Passwords are hashed in other threads. CPU time leaves out how long they wait on a busy machine.
  const options = { bound: 1.2, clock: processTime, batch: 1, rounds: 60 };
  for (const name of ['nobody-of-this-name', 'No Name At All']) {
    const { ratio, times } = await timeRatio([login('admin'), login(name)], options);
    const [known, unknown] = times.map((us) => Math.round(us / 1_000));
    t.diagnostic(`${ratio.toFixed(2)}  ${known} and ${unknown} ms: a known name and ${name}`);
    assert.ok(ratio <= options.bound, `${ratio}`);
  }
});

test('B9: a token of one registry is rejected by another', async (t) => {
  const tokens: Headers[] = [];
  const clients: Client[] = [];
  for (let i = 0; i < 2; i++) {
    const { client } = await registryWithBob(t);
    clients.push(client);
    tokens.push(await fetchToken(client, bob, 'repository:bob/app:pull,push'));
  }
  const kinds = tokens.map(
    ({ authorization }) => decodeProtectedHeader(`${authorization}`.slice('Bearer '.length)).kid,
  );
  assert.notEqual(kinds[0], kinds[1]);
  for (const [i, client] of clients.entries()) {
    assert.equal((await client.get('/v2/', tokens[i])).status, 200);
    assertError(await client.get('/v2/', tokens[1 - i]), 401, 'UNAUTHORIZED');
  }
});

test('B14: a session cookie does not authenticate at the registry API', async (t) => {
  const { client, browser } = await registryWithBob(t);
  await client.as(bob).pushImage('bob/app', 'v1');
  await browser.post('/auth/sign-in', { username: 'bob', password: bobsPassword, to: '' });
  assert.equal((await browser.get('/auth/account')).statusCode, 200);
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  assertError(await client.get('/v2/bob/app/manifests/v1', { cookie }), 401, 'UNAUTHORIZED');
  assertError(await client.send('POST', '/v2/bob/app/blobs/uploads/', { cookie }), 401, 'UNAUTHORIZED');
  assertError(await client.send('DELETE', '/v2/bob/app/manifests/v1', { cookie }), 401, 'UNAUTHORIZED');
  const token = await fetchToken(client, { cookie }, 'repository:bob/app:pull,push');
  assertError(await client.get('/v2/bob/app/manifests/v1', token), 401, 'DENIED');
  assert.equal((await client.fetch('GET', '/metrics', { cookie })).status, 401);
});
