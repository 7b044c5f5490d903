// Pushes and deletes are authorized by the current rights.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeOrganisation } from '../../test/support/access.ts';
import {
  assertError,
  type Client,
  describe,
  digestOf,
  type Headers,
  imageOf,
  locationOf,
  ociConfig,
  serialize,
  unknownDigest,
  unknownUpload,
} from '../../test/support/inject.ts';
import { connectPeople, fetchToken, type Person, setVisible } from '../../test/support/people.ts';
import { deleteRepository } from '../core/delete-repository.ts';
import { emptyTrash } from '../core/empty-trash.ts';
import { findAccount } from '../db/accounts.ts';
import { findMemberRole } from '../db/members.ts';
import { findRepository } from '../db/repositories.ts';
import { asNamespace, type Namespace, parseName } from '../oci/name.ts';

const name = 'acme/app';
const scope = `repository:${name}:pull,push,delete`;

/** The same caller, with a login and with a token. */
async function bothWays(client: Client, login: Headers): Promise<[string, Client][]> {
  return [
    ['a login', client.as(login)],
    ['a token', client.as(await fetchToken(client, login, scope))],
  ];
}

async function digestOfTag(client: Client, tag: string): Promise<string | undefined> {
  return (await client.head(`/v2/${name}/manifests/${tag}`)).headers['docker-content-digest'];
}

test('a creator cannot move a tag, by name, digest or tag parameter', async (t) => {
  const { client, logins } = await connectPeople(t);
  const root = client.as(logins.root);
  const image = await root.pushImage(name, 'v1');
  await root.putManifest(name, 'latest', image.bytes);
  for (const [way, creator] of await bothWays(client, logins.creator)) {
    const other = await creator.image(name);
    const [bytes, digest] = [serialize(other), (await creator.pushManifest(name, other)).digest];
    for (const reference of ['v1', 'latest', `${digest}?tag=v1`, `${digest}?tag=new&tag=latest`]) {
      const answer = await creator.putManifest(name, reference, bytes);
      assertError(answer, 403, 'DENIED');
      assert.match(
        answer.body.toString(),
        /tag (v1|latest) already exists and overwriting it is not allowed/,
        `${way}: ${reference}`,
      );
    }
    // A push with a refused tag stores nothing.
    const unseen = await creator.image(name);
    assertError(await creator.putManifest(name, 'v1', unseen), 403, 'DENIED');
    assert.equal((await creator.tags(name)).includes('new'), false, 'one refused tag refuses all');
    for (const tag of ['v1', 'latest']) assert.equal(await digestOfTag(root, tag), image.digest);
    assert.equal(
      (await creator.putManifest(name, 'v1', image.bytes)).status,
      201,
      'tag already points there',
    );
    const fresh = way.replace(' ', '-');
    assert.equal((await creator.putManifest(name, fresh, bytes)).status, 201, 'the tag is new');
    assertError(await creator.putManifest(name, fresh, image.bytes), 403, 'DENIED');
  }
});

test('of several creators that push a new tag at once, one succeeds, and the tag does not move', async (t) => {
  const { client, logins } = await connectPeople(t);
  const creator = client.as(logins.creator);
  const images = await Promise.all([1, 2, 3, 4].map(() => creator.image(name)));
  const answers = await Promise.all(images.map((image) => creator.putManifest(name, 'v1', image)));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 403, 403, 403]);
  const winner = answers.find(({ status }) => status === 201);
  assert.equal(await digestOfTag(creator, 'v1'), winner?.headers['docker-content-digest']);
});

test('a token for pushing deletes neither tag nor manifest nor blob', async (t) => {
  const { client, logins } = await connectPeople(t);
  const root = client.as(logins.root);
  const image = await root.pushImage(name, 'v1');
  const blob = await root.pushBlob(name, 'bytes');
  const pusher = client.as(await fetchToken(client, logins.root, `repository:${name}:pull,push`));
  for (const path of ['manifests/v1', `manifests/${image.digest}`, `blobs/${blob}`]) {
    const answer = await pusher.delete(`/v2/${name}/${path}`);
    assertError(answer, 401, 'DENIED');
    assert.match(
      answer.headers['www-authenticate'] ?? '',
      /scope="repository:acme\/app:delete",error="insufficient_scope"$/,
    );
  }
  const deleter = client.as(await fetchToken(client, logins.root, `repository:${name}:*`));
  for (const path of ['manifests/v1', `blobs/${blob}`, `manifests/${image.digest}`]) {
    assert.equal((await deleter.delete(`/v2/${name}/${path}`)).status, 202);
  }
});

const ends: [
  what: string,
  end: (people: Awaited<ReturnType<typeof connectPeople>>) => Promise<unknown>,
  status: number,
][] = [
  [
    'the access token was revoked',
    (p) => change(p, 'access_tokens', { revoked_at: 1 }, p.tokens.maintainer),
    401,
  ],
  [
    'the access token has expired',
    (p) => change(p, 'access_tokens', { expires_at: 1 }, p.tokens.maintainer),
    401,
  ],
  ['the user was disabled', (p) => change(p, 'accounts', { disabled_at: 1 }, p.accounts.maintainer), 401],
  [
    'the user was deleted',
    (p) =>
      p.database.transaction((db) =>
        db.deleteFrom('accounts').where('id', '=', p.accounts.maintainer).execute(),
      ),
    401,
  ],
  [
    'the grant was revoked',
    (p) =>
      p.database.transaction((db) =>
        db.deleteFrom('grants').where('account_id', '=', p.accounts.maintainer).execute(),
      ),
    403,
  ],
  [
    'the grant was reduced',
    (p) =>
      p.database.transaction((db) =>
        db
          .updateTable('grants')
          .set({ role: 'read' })
          .where('account_id', '=', p.accounts.maintainer)
          .execute(),
      ),
    403,
  ],
];

function change(
  { database }: { database: Awaited<ReturnType<typeof connectPeople>>['database'] },
  table: 'access_tokens' | 'accounts',
  values: object,
  id: number,
) {
  return database.transaction((db) => db.updateTable(table).set(values).where('id', '=', id).execute());
}

for (const [what, end, status] of ends) {
  test(`pushes and deletes are refused at once, and pulls when the token expires, after ${what}`, async (t) => {
    const people = await connectPeople(t);
    const { client, logins } = people;
    const image = await client.as(logins.root).pushImage(name, 'v1');
    const maintainer = client.as(await fetchToken(client, logins.maintainer, scope));
    const location = await maintainer.openUpload(name);
    await end(people);
    const code = status === 401 ? 'UNAUTHORIZED' : 'DENIED';
    assertError(await maintainer.putManifest(name, 'v1', image.bytes), status, code);
    assertError(await maintainer.send('POST', `/v2/${name}/blobs/uploads/`), status, code);
    assertError(await maintainer.patch(location, 'bytes'), status, code);
    const refused = await maintainer.delete(`/v2/${name}/manifests/v1`);
    assertError(refused, status, code);
    const challenge = refused.headers['www-authenticate'];
    if (status === 401) assert.match(challenge ?? '', /error="invalid_token"$/);
    else assert.equal(challenge, undefined);
    assert.equal((await maintainer.get(`/v2/${name}/manifests/v1`)).status, 200);
    const login = await client.get(`/v2/${name}/manifests/v1`, logins.maintainer);
    assert.equal(login.status, status === 401 ? 401 : what.includes('reduced') ? 200 : 403);
  });
}

test('a token is valid for its repository, and not for a later one of the same name', async (t) => {
  const { client, database, logins } = await connectPeople(t);
  const root = client.as(logins.root);
  const first = await root.pushImage(name, 'v1');
  const before = client.as(await fetchToken(client, logins.reader, `repository:${name}:pull`));
  const pushing = client.as(await fetchToken(client, logins.writer, scope));
  assert.equal((await before.get(`/v2/${name}/manifests/v1`)).status, 200);
  const id = (await findRepository(database.read, parseName(name))) as number;
  await database.transaction((db) => deleteRepository(db, id, Date.now()));
  assertError(await before.get(`/v2/${name}/manifests/v1`), 404, 'NAME_UNKNOWN');

  const second = await root.pushImage(name, 'v1');
  const blob = await root.pushBlob(name, 'the new owner’s');
  const reads = [
    'manifests/v1',
    'manifests/none',
    `manifests/${second.digest}`,
    `manifests/${first.digest}`,
    `blobs/${blob}`,
    `blobs/${first.digest}`,
    'tags/list',
    `referrers/${second.digest}`,
  ];
  for (const path of reads) {
    for (const method of ['GET', 'HEAD']) {
      const answer = await before.send(method, `/v2/${name}/${path}`);
      assert.equal(answer.status, 401, `${method} ${path}`);
      assert.match(
        answer.headers['www-authenticate'] ?? '',
        /scope="repository:acme\/app:pull",error="invalid_token"$/,
      );
    }
  }
  assertError(await pushing.send('POST', `/v2/${name}/blobs/uploads/`), 401, 'UNAUTHORIZED');
  const after = client.as(await fetchToken(client, logins.reader, `repository:${name}:pull`));
  assert.equal((await after.get(`/v2/${name}/manifests/v1`)).status, 200);
});

test('a token issued before its repository existed has only the current rights in it', async (t) => {
  const { client, database, logins } = await connectPeople(t, { anonymous: 'public' });
  const token = client.as(await fetchToken(client, logins.reader, `repository:${name}:pull`));
  assertError(await token.get(`/v2/${name}/manifests/v1`), 404, 'NAME_UNKNOWN');
  await client.as(logins.root).pushImage(name, 'v1');
  assert.equal((await token.get(`/v2/${name}/manifests/v1`)).status, 200);
  await database.transaction((db) => db.deleteFrom('grants').execute());
  assertError(await token.get(`/v2/${name}/manifests/v1`), 403, 'DENIED');
  await setVisible(database, name, 'public');
  assert.equal((await token.get(`/v2/${name}/manifests/v1`)).status, 200);
});

test('each caller is authorized separately', async (t) => {
  const { client, logins } = await connectPeople(t);
  const image = await client.as(logins.root).pushImage(name, 'v1');
  const urls = [`/v2/${name}/manifests/v1`, `/v2/${name}/manifests/${image.digest}`, `/v2/${name}/tags/list`];
  const order: Person[] = ['reader', 'stranger', 'nobody', 'reader', 'revoked', 'root', 'stranger', 'writer'];
  const expected = { reader: 200, root: 200, writer: 200, stranger: 403, nobody: 401, revoked: 401 };
  for (const url of urls) {
    for (const person of order) {
      const { status } = await client.get(url, logins[person]);
      assert.equal(status, expected[person as keyof typeof expected], `${person}: ${url}`);
    }
  }
});

async function connectWithCreators(
  t: TestContext,
  createNamespaces: 'users' | 'administrators',
  namespacesPerUser = 10,
) {
  const people = await connectPeople(t, { access: { createNamespaces, namespacesPerUser } });
  const roleIn = async (namespace: string, person: 'stranger' | 'reader') => {
    const account = await findAccount(people.database.read, asNamespace(namespace) as Namespace);
    if (account === undefined) return undefined;
    return findMemberRole(people.database.read, account.id, people.accounts[person]);
  };
  return { ...people, roleIn };
}

test('a push to a free namespace creates it for the pusher, if users may create namespaces', async (t) => {
  const { client, logins, roleIn, database } = await connectWithCreators(t, 'users');
  const stranger = client.as(logins.stranger);
  await stranger.pushImage('fresh/app', 'v1');
  assert.equal(await roleIn('fresh', 'stranger'), 'admin');
  const token = await fetchToken(client, logins.stranger, 'repository:newer/app:pull,push');
  await client.as(token).pushImage('newer/app', 'v1');
  assert.equal(await roleIn('newer', 'stranger'), 'admin');
  assertError(await client.send('POST', '/v2/fresh/app/blobs/uploads/', logins.reader), 403, 'DENIED');

  await makeOrganisation(database, 'taken');
  for (const name of ['taken/app', 'acme/app', 'reader/app', 'library/app', 'app']) {
    assertError(await stranger.send('POST', `/v2/${name}/blobs/uploads/`), 403, 'DENIED');
  }
  assert.equal(await roleIn('library', 'stranger'), undefined);
  // A pull, a robot, and a credential limited to other repositories create none.
  assertError(await stranger.get('/v2/other/app/tags/list'), 404, 'NAME_UNKNOWN');
  for (const person of ['robot', 'creator'] as const) {
    assertError(await client.send('POST', '/v2/other/app/blobs/uploads/', logins[person]), 403, 'DENIED');
  }
  assert.equal(await roleIn('other', 'stranger'), undefined);
});

test('only a request that stores content creates a namespace', async (t) => {
  const { client, database, logins, roleIn } = await connectWithCreators(t, 'users', 2);
  const stranger = client.as(logins.stranger);
  const digest = digestOf('bytes');
  const isFree = async (what: string) => assert.equal(await roleIn('fresh', 'stranger'), undefined, what);
  const never = `/v2/fresh/app/blobs/uploads/${unknownUpload}`;
  for (const [method, path, body] of [
    ['GET', never],
    ['PATCH', never, 'bytes'],
    ['PUT', `${never}?digest=${digest}`, 'bytes'],
    ['DELETE', never],
    ['PUT', '/v2/fresh/app/manifests/v1', '{}'],
    ['POST', '/v2/fresh/app/blobs/uploads/?mount=sha256:abc'],
    ['HEAD', `/v2/fresh/app/blobs/${digest}`],
    ['GET', '/v2/fresh/app/manifests/v1'],
  ] as const) {
    const { status } = await stranger.send(method, path, {}, body);
    assert.ok(status === 404 || status === 400, `${method} ${path}: ${status}`);
    await isFree(`${method} ${path}`);
  }
  const location = await stranger.openUpload('fresh/app');
  await stranger.patch(location, 'bytes');
  await isFree('an upload that has begun');
  assertError(await stranger.finish(location, unknownDigest), 400, 'DIGEST_INVALID');
  const mount = `/v2/fresh/app/blobs/uploads/?mount=${unknownDigest}`;
  const given = await stranger.send('POST', mount);
  assert.equal(given.status, 202);
  assert.equal((await stranger.delete(locationOf(given))).status, 204);
  assertError(
    await stranger.putManifest('fresh/app', 'v1', imageOf(describe('x', ociConfig), [])),
    400,
    'MANIFEST_BLOB_UNKNOWN',
  );
  await isFree('a push that failed');

  // Each kind of stored content creates it, and the rest of the push continues in it.
  await stranger.pushImage('fresh/app', 'v1');
  assert.equal(await roleIn('fresh', 'stranger'), 'admin');
  const source = await stranger.pushBlob('stranger/own', 'to be mounted');
  const mounted = await stranger.send(
    'POST',
    `/v2/other/app/blobs/uploads/?mount=${source}&from=stranger/own`,
  );
  assert.equal(mounted.status, 201);
  assert.equal(await roleIn('other', 'stranger'), 'admin');
  for (let i = 0; i < 20; i++) {
    assertError(await stranger.send('POST', `/v2/more${i}/app/blobs/uploads/`), 403, 'DENIED');
  }
  const namespaces = await database.read
    .selectFrom('accounts')
    .select('name')
    .where('claimed_by', 'is not', null)
    .execute();
  assert.deepEqual(
    namespaces.map(({ name }) => name),
    ['fresh', 'other'],
  );
});

test('when several users push to a free namespace, the first to store content owns it', async (t) => {
  const { client, logins, roleIn } = await connectWithCreators(t, 'users');
  const digest = digestOf('bytes');
  const open = (person: Person) => client.as(logins[person]).openUpload(`race/${person}`);
  const locations = { stranger: await open('stranger'), reader: await open('reader') };
  const finish = (person: keyof typeof locations) =>
    client.as(logins[person]).finish(locations[person], digest, 'bytes');
  const answers = await Promise.all([finish('stranger'), finish('reader')]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 403]);
  const roles = [await roleIn('race', 'stranger'), await roleIn('race', 'reader')];
  assert.deepEqual(
    roles,
    answers.map(({ status }) => (status === 201 ? 'admin' : undefined)),
  );
});

test('parallel layers of one push create its namespace once', async (t) => {
  const { client, logins, roleIn } = await connectWithCreators(t, 'users');
  const stranger = client.as(logins.stranger);
  const blobs = ['a', 'b', 'c', 'd'];
  const locations = await Promise.all(blobs.map(() => stranger.openUpload('fresh/app')));
  const pushed = await Promise.all(
    blobs.map((bytes, i) => stranger.finish(locations[i] as string, digestOf(bytes), bytes)),
  );
  assert.deepEqual(
    pushed.map(({ status }) => status),
    [201, 201, 201, 201],
  );
  assert.equal(await roleIn('fresh', 'stranger'), 'admin');
  for (const bytes of blobs) {
    assert.equal((await stranger.get(`/v2/fresh/app/blobs/${digestOf(bytes)}`)).body.toString(), bytes);
  }
});

test('a namespace with content of administrators does not go to the next pusher', async (t) => {
  const { client, database, logins, roleIn } = await connectWithCreators(t, 'users');
  const root = client.as(logins.root);
  const stranger = client.as(logins.stranger);
  const digestNew = digestOf('new');
  const push = () => stranger.send('POST', `/v2/theirs/new/blobs/uploads/?digest=${digestNew}`, {}, 'new');
  const { digest } = await root.pushImage('theirs/app', 'v1');
  assertError(await push(), 403, 'DENIED');
  const token = client.as(await fetchToken(client, logins.stranger, 'repository:theirs/new:pull,push'));
  assertError(await token.send('POST', '/v2/theirs/new/blobs/uploads/'), 401, 'DENIED');
  assert.equal(await roleIn('theirs', 'stranger'), undefined);

  // With only blobs left, in the trash too, the name is free, and the new owner does not get the blobs.
  const blob = await root.pushBlob('theirs/app', 'bytes');
  await setVisible(database, 'theirs/app', 'public');
  assert.equal((await root.delete(`/v2/theirs/app/manifests/${digest}`)).status, 202);
  assertError(await push(), 403, 'DENIED');
  await emptyTrash(database, { before: database.clock() + 1 });
  assert.equal((await push()).status, 201);
  assert.equal(await roleIn('theirs', 'stranger'), 'admin');
  assertError(await stranger.get(`/v2/theirs/app/blobs/${blob}`), 404, 'BLOB_UNKNOWN');
});

test('a push creates no namespace when only administrators may create them', async (t) => {
  const { client, logins, roleIn } = await connectWithCreators(t, 'administrators');
  assertError(await client.send('POST', '/v2/fresh/app/blobs/uploads/', logins.stranger), 403, 'DENIED');
  assert.equal(await roleIn('fresh', 'stranger'), undefined);
});
