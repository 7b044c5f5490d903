// Docker's `_catalog`: repositories and their pages.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Answer,
  assertError,
  type Client,
  connect,
  imageOf,
  nextOf,
} from '../../test/support/inject.ts';
import { connectPeople, fetchToken, setVisible } from '../../test/support/people.ts';

// In byte order: '-' < '.' < '/' < digits < '_' < small letters. Names that are prefixes of others would break an order by path.
const ordered = ['a', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a0', 'a_b', 'ab', 'b', 'b/a', 'library/nginx', 'z'];

async function connectWithRepositories(t: Parameters<typeof connect>[0]): Promise<Client> {
  const registry = await connect(t);
  for (const name of [...ordered].reverse()) {
    await registry.pushManifest(name, imageOf(await registry.pushContent(name, '{}'), []), 'v1');
  }
  return registry;
}

function repositoriesOf(answer: Answer): string[] {
  return answer.json<{ repositories: string[] }>().repositories;
}

test('_catalog: an empty registry has an empty list', async (t) => {
  const registry = await connect(t);
  const answer = await registry.get('/v2/_catalog');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.deepEqual(answer.json(), { repositories: [] });
});

test('_catalog: all repositories, in the order of bytes', async (t) => {
  const registry = await connectWithRepositories(t);
  const answer = await registry.get('/v2/_catalog');
  assert.deepEqual(answer.json(), { repositories: ordered });
  assert.equal(answer.headers.link, undefined);
});

test('_catalog, C11: pages of every size list each repository once and end', async (t) => {
  const registry = await connectWithRepositories(t);
  for (let n = 1; n <= ordered.length + 1; n++) {
    const pages = await registry.walk(`/v2/_catalog?n=${n}`);
    assert.deepEqual(pages.flatMap(repositoriesOf), ordered, `n=${n}`);
    assert.equal(pages.length, Math.ceil(ordered.length / n));
  }
});

test('_catalog: Link is a path, keeps n, and names the last repository of the page', async (t) => {
  const registry = await connectWithRepositories(t);
  const next = new URL(nextOf(await registry.get('/v2/_catalog?n=4')) ?? '', 'http://localhost');
  assert.equal(next.pathname, '/v2/_catalog');
  assert.equal(next.searchParams.get('n'), '4');
  assert.equal(next.searchParams.get('last'), 'a/b');
});

test('_catalog: last is exclusive and need not exist', async (t) => {
  const registry = await connectWithRepositories(t);
  for (const last of [...ordered, '', 'a/', 'a/a', 'a~', 'zz', '\u4e2d', '\u0000', '../..', "'"]) {
    const expected = ordered.filter((name) => Buffer.compare(Buffer.from(name), Buffer.from(last)) > 0);
    const answer = await registry.get(`/v2/_catalog?last=${encodeURIComponent(last)}`);
    assert.equal(answer.status, 200, answer.body.toString());
    assert.deepEqual(repositoriesOf(answer), expected, JSON.stringify(last));
  }
});

test('_catalog, C11: bounds of n', async (t) => {
  const registry = await connectWithRepositories(t);
  const none = await registry.get('/v2/_catalog?n=0');
  assert.deepEqual(none.json(), { repositories: [] });
  assert.equal(none.headers.link, undefined);
  for (const n of ['-1', 'abc', '1.5', '1e3', '0x10', '+1']) {
    const answer = await registry.get(`/v2/_catalog?n=${encodeURIComponent(n)}`);
    assertError(answer, 400, 'PAGINATION_NUMBER_INVALID');
  }
  for (const n of ['2147483647', '1000000000', '99999999999999999999999']) {
    const answer = await registry.get(`/v2/_catalog?n=${n}`);
    if (answer.status === 200) assert.deepEqual(repositoriesOf(answer), ordered);
    else assertError(answer, 400, 'PAGINATION_NUMBER_INVALID');
  }
});

test('_catalog: reading an absent repository does not create it', async (t) => {
  const registry = await connect(t);
  await registry.get('/v2/ghost/tags/list');
  await registry.get('/v2/ghost/manifests/v1');
  await registry.get(`/v2/ghost/referrers/sha256:${'0'.repeat(64)}`);
  await registry.delete('/v2/ghost/manifests/v1');
  await registry.putManifest('ghost', 'v1', 'no manifest');
  assert.deepEqual((await registry.get('/v2/_catalog')).json(), { repositories: [] });
});

test('_catalog: challenges without credentials; an anonymous token lists public repositories', async (t) => {
  const { client, database, logins } = await connectPeople(t);
  const root = client.as(logins.root);
  for (const name of ['acme/private', 'acme/public']) await root.pushImage(name, 'v1');
  await setVisible(database, 'acme/public', 'public');
  const scope = 'registry:catalog:*';
  for (const query of ['', '?n=0', '?n=1', '?last=acme/private', '?n=abc']) {
    const answer = await client.get(`/v2/_catalog${query}`);
    assertError(answer, 401, 'UNAUTHORIZED');
    assert.match(answer.headers['www-authenticate'] ?? '', /,scope="registry:catalog:\*"$/, query);
  }
  for (const [person, expected] of [
    ['nobody', ['acme/public']],
    ['stranger', ['acme/public']],
    ['reader', ['acme/private', 'acme/public']],
  ] as const) {
    const token = await fetchToken(client, logins[person], scope);
    assert.deepEqual(repositoriesOf(await client.get('/v2/_catalog', token)), expected, person);
  }
});

for (const anonymous of ['pull', 'push']) {
  test(`_catalog: with anonymous ${anonymous}, there is no challenge, as a login shows no more`, async (t) => {
    const { client, logins } = await connectPeople(t, { anonymous });
    await client.as(logins.root).pushImage('acme/app', 'v1');
    assert.deepEqual(repositoriesOf(await client.get('/v2/_catalog')), ['acme/app']);
  });
}
