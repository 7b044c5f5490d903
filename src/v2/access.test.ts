// Every route × every account × a public, a private and an absent repository, with a login and with a token.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, ociManifest, unknownDigest, unknownUpload } from '../../test/support/inject.ts';
import { connectPeople, fetchToken, type Person, setVisible } from '../../test/support/people.ts';
import type { RegistryNeed, RepositoryNeed } from '../access/need.ts';
import { type Action, parseRoute, rightOf } from './routes.ts';

/** A request of each action that changes nothing when it is allowed. */
const requests: Readonly<Record<Action, (name: string) => [method: string, path: string]>> = {
  getBase: () => ['GET', '/v2/'],
  listRepositories: () => ['GET', '/v2/_catalog'],
  listTags: (name) => ['GET', `/v2/${name}/tags/list`],
  listReferrers: (name) => ['GET', `/v2/${name}/referrers/${unknownDigest}`],
  getBlob: (name) => ['GET', `/v2/${name}/blobs/${unknownDigest}`],
  deleteBlob: (name) => ['DELETE', `/v2/${name}/blobs/${unknownDigest}`],
  getManifest: (name) => ['GET', `/v2/${name}/manifests/v1`],
  putManifest: (name) => ['PUT', `/v2/${name}/manifests/v1`],
  deleteManifest: (name) => ['DELETE', `/v2/${name}/manifests/v2`],
  startUpload: (name) => ['POST', `/v2/${name}/blobs/uploads/`],
  getUpload: (name) => ['GET', `/v2/${name}/blobs/uploads/${unknownUpload}`],
  patchUpload: (name) => ['PATCH', `/v2/${name}/blobs/uploads/${unknownUpload}`],
  putUpload: (name) => ['PUT', `/v2/${name}/blobs/uploads/${unknownUpload}?digest=${unknownDigest}`],
  deleteUpload: (name) => ['DELETE', `/v2/${name}/blobs/uploads/${unknownUpload}`],
};

type Place = 'public' | 'private' | 'absent';
type Needs = readonly (RepositoryNeed | RegistryNeed)[];

/** A login may show more here, so without credentials the answer is a challenge; any token for its scope is accepted. */
const challenged: Needs = ['base', 'catalog'];
const read: Needs = ['base', 'catalog', 'pull'];
const write: Needs = [...read, 'create', 'push'];
const maintain: Needs = [...write, 'delete'];
const everywhere = (needs: Needs): Record<Place, Needs> => ({ public: needs, private: needs, absent: needs });

/** Wrong credentials have no rights. */
const wrong: readonly Person[] = ['expired', 'revoked', 'disabled'];

const table: Readonly<Record<Person, Record<Place, Needs>>> = {
  nobody: { public: ['pull'], private: [], absent: [] },
  stranger: { public: read, private: ['base', 'catalog'], absent: ['base', 'catalog'] },
  reader: everywhere(read),
  writer: everywhere(write),
  creator: everywhere(write),
  maintainer: everywhere(maintain),
  boss: everywhere(maintain),
  robot: everywhere(read),
  root: everywhere(maintain),
  expired: everywhere([]),
  revoked: everywhere([]),
  disabled: everywhere([]),
};

/** A request is allowed, or refused: log in, get a token with more scope, or denied. */
type Outcome = 'let through' | 'log in' | 'larger token' | 'no';

function outcomeOf(answer: Answer): Outcome {
  const challenge = answer.headers['www-authenticate'];
  if (answer.status !== 401 && answer.status !== 403) {
    assert.equal(challenge, undefined);
    return 'let through';
  }
  const code = answer.json<{ errors: { code: string }[] }>().errors[0]?.code;
  if (answer.status === 403) {
    assert.deepEqual([code, challenge], ['DENIED', undefined]);
    return 'no';
  }
  assert.match(challenge ?? '', /^Bearer realm="[^"]+",service="berth"/);
  assert.equal(answer.headers['cache-control'], 'no-store');
  const isTooSmall = challenge?.includes('error="insufficient_scope"') ?? false;
  assert.equal(code, isTooSmall ? 'DENIED' : 'UNAUTHORIZED');
  return isTooSmall ? 'larger token' : 'log in';
}

test('the table has a request of each route', () => {
  assert.deepEqual(Object.keys(requests).sort(), Object.keys(rightOf).sort());
  for (const [action, request] of Object.entries(requests)) {
    const [method, path] = request('acme/app');
    assert.equal(parseRoute(method, path.split('?')[0] as string).action, action);
  }
});

for (const person of Object.keys(table) as Person[]) {
  test(`${person} is allowed exactly the requests that their rights cover`, async (t) => {
    const { client, database, logins } = await connectPeople(t);
    const names = { public: 'acme/public', private: 'acme/private' };
    for (const name of Object.values(names)) await client.as(logins.root).pushImage(name, 'v1');
    await setVisible(database, names.public, 'public');
    let absent = 0;
    for (const place of ['public', 'private', 'absent'] as const) {
      for (const action of Object.keys(rightOf) as Action[]) {
        const name = place === 'absent' ? `acme/absent-${absent++}` : names[place];
        const [method, path] = requests[action](name);
        const may = table[person][place].includes(rightOf[action]);
        const send = async (headers: Record<string, string | string[]>): Promise<Outcome> =>
          outcomeOf(await client.send(method, path, { ...headers, 'content-type': ociManifest }));
        const refused = person === 'nobody' || wrong.includes(person) ? 'log in' : 'no';
        const what = `${method} ${path}`;
        assert.equal(await send(logins[person]), may ? 'let through' : refused, `${what} with a login`);

        if (wrong.includes(person)) continue;
        const scopes = ['registry:catalog:*', `repository:${name}:pull,push,delete`];
        const token = await fetchToken(client, logins[person], ...scopes);
        const mayByToken = may || challenged.includes(rightOf[action]);
        assert.equal(await send(token), mayByToken ? 'let through' : 'larger token', `${what} with a token`);
        if (action === 'getBase') continue;
        const none = await fetchToken(client, logins[person]);
        assert.equal(await send(none), 'larger token', `${what} with a token for nothing`);
      }
    }
  });
}

test('wrong credentials are refused also on routes that need none', async (t) => {
  const { client, logins } = await connectPeople(t, { anonymous: 'push' });
  assert.equal((await client.get('/v2/')).status, 200);
  for (const headers of [
    ...wrong.map((person) => logins[person]),
    { authorization: 'Basic !' },
    { authorization: 'Bearer of.bad.news' },
    { authorization: 'Negotiate abc' },
    { authorization: '' },
  ]) {
    assert.equal(outcomeOf(await client.get('/v2/', headers)), 'log in', JSON.stringify(headers));
  }
});
