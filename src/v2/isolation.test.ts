// A request for hidden content gets the same answer as one for missing content: the same status, headers and body.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type Answer,
  assertError,
  type Client,
  describe,
  imageOf,
  ociConfig,
  ociLayer,
  refer,
  unknownDigest,
  unknownUpload,
} from '../../test/support/inject.ts';
import { connectPeople, fetchToken, makeLogin, type Person } from '../../test/support/people.ts';
import { actAs } from '../administration/change.ts';
import { removeRepository } from '../administration/repositories.ts';
import { Manifests } from '../core/manifests.ts';
import { system } from '../db/changes.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';

const hidden = 'acme/hidden';
/** As long as the hidden name: lengths are compared too. */
const nowhere = 'acme/absent';

/** An answer without the names and digests of its request. */
function redacted(answer: Answer, asked: readonly string[]): string {
  const { date, 'x-request-id': id, ...headers } = answer.headers;
  assert.ok(id);
  const upload = headers['docker-upload-uuid'];
  const text = JSON.stringify([answer.status, headers, answer.body.toString()]);
  return [...asked, ...(upload ? [upload] : [])].reduce((rest, one) => rest.replaceAll(one, '<asked>'), text);
}

/** A repository with an image and its signature, hidden from all but acme, and a caller with a repository of their own. */
async function world(t: TestContext) {
  const people = await connectPeople(t);
  const { client, logins } = people;
  const root = client.as(logins.root);
  const layer = await root.pushContent(hidden, 'a layer');
  const config = await root.pushContent(hidden, '{}', ociConfig);
  const image = await root.pushManifest(hidden, imageOf(config, [layer]), 'v1');
  await root.pushManifest(hidden, imageOf(config, [layer], { subject: refer(image) }), 'signature');
  await client.as(logins.stranger).pushImage('stranger/own', 'v1');
  return { ...people, layer, image };
}

const repositoryReads: readonly ((digests: { layer: string; image: string }) => string)[] = [
  () => 'manifests/v1',
  ({ image }) => `manifests/${image}`,
  () => 'manifests/v2',
  ({ layer }) => `blobs/${layer}`,
  () => 'tags/list',
  () => 'tags/list?n=1&last=v0',
  ({ image }) => `referrers/${image}`,
];

for (const person of ['nobody', 'stranger'] as Person[]) {
  for (const by of ['a login', 'a token'] as const) {
    test(`${person} with ${by} gets the same answers for a hidden repository and a missing one`, async (t) => {
      const { client, logins, layer, image } = await world(t);
      const scopes = [hidden, nowhere].map((name) => `repository:${name}:pull,push,delete`);
      const headers = by === 'a login' ? logins[person] : await fetchToken(client, logins[person], ...scopes);
      const caller = client.as(headers);
      for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'POST']) {
        for (const path of [...repositoryReads, () => 'blobs/uploads/']) {
          const at = path({ layer: layer.digest, image: image.digest });
          const [one, other] = [
            await caller.send(method, `/v2/${hidden}/${at}`),
            await caller.send(method, `/v2/${nowhere}/${at}`),
          ];
          assert.ok([401, 403, 405].includes(one.status), `${method} ${at}: ${one.status}`);
          assert.equal(redacted(one, [hidden]), redacted(other, [nowhere]), `${method} ${at}`);
        }
      }
    });
  }
}

/** Requests hidden content and missing content in a repository where the caller has all rights. The answers must be the same. */
async function alike(
  what: string,
  digest: string,
  ask: (digest: string, from: string) => Promise<Answer>,
): Promise<Answer> {
  const [one, other] = [await ask(digest, hidden), await ask(unknownDigest, nowhere)];
  assert.equal(redacted(one, [digest, hidden]), redacted(other, [unknownDigest, nowhere]), what);
  return one;
}

test('content of a hidden repository is unknown in the caller’s own repository, on every route', async (t) => {
  const { client, logins, layer, image } = await world(t);
  for (const login of ['a login', 'a token']) {
    const scopes = ['repository:stranger/own:pull,push,delete', `repository:${hidden}:pull`];
    const headers =
      login === 'a login' ? logins.stranger : await fetchToken(client, logins.stranger, ...scopes);
    const caller: Client = client.as(headers);
    const own = '/v2/stranger/own';
    const cases: [
      what: string,
      digest: string,
      status: number,
      (digest: string, from: string) => string[],
    ][] = [
      ['GET of a blob', layer.digest, 404, (digest) => ['GET', `blobs/${digest}`]],
      ['HEAD of a blob', layer.digest, 404, (digest) => ['HEAD', `blobs/${digest}`]],
      ['DELETE of a blob', layer.digest, 404, (digest) => ['DELETE', `blobs/${digest}`]],
      ['GET of a manifest', image.digest, 404, (digest) => ['GET', `manifests/${digest}`]],
      ['DELETE of a manifest', image.digest, 404, (digest) => ['DELETE', `manifests/${digest}`]],
      ['referrers', image.digest, 200, (digest) => ['GET', `referrers/${digest}`]],
      ['mount', layer.digest, 202, (digest, from) => ['POST', `blobs/uploads/?mount=${digest}&from=${from}`]],
      ['mount from anywhere', layer.digest, 202, (digest) => ['POST', `blobs/uploads/?mount=${digest}`]],
    ];
    for (const [what, digest, status, request] of cases) {
      const answer = await alike(what, digest, (digest, from) => {
        const [method = '', path = ''] = request(digest, from);
        return caller.send(method, `${own}/${path}`);
      });
      assert.equal(answer.status, status, what);
    }
    const config = await caller.pushContent('stranger/own', '{"own":1}', ociConfig);
    const referring = await alike('a manifest that needs it', layer.digest, (digest) =>
      caller.putManifest('stranger/own', 'v2', imageOf(config, [describe('a layer', ociLayer, digest)])),
    );
    assert.equal(referring.status, 400);
    assert.equal((await caller.get(`${own}/blobs/${layer.digest}`)).status, 404);
  }
});

test('finishing an unknown upload is 404 even if the repository holds the blob, but a client may repeat its own last PUT', async (t) => {
  const { client, logins, database, accounts, layer } = await world(t);
  const writer = { id: accounts.writer, name: 'writer' };
  const { headers } = await makeLogin(database, writer, { scopes: 'repository:acme/**:create' });
  const creator = client.as(headers);
  const never = `/v2/${hidden}/blobs/uploads/${unknownUpload}`;
  const open = await creator.openUpload(hidden);
  for (const location of [never, open]) {
    const [held, absent] = [
      await creator.finish(location, layer.digest),
      await creator.finish(location === open ? await creator.openUpload(hidden) : location, unknownDigest),
    ];
    assert.ok([400, 404].includes(held.status), `${location}: ${held.status}`);
    assert.equal(redacted(held, [layer.digest]), redacted(absent, [unknownDigest]));
  }
  const given = await creator.openUpload(hidden);
  assert.equal((await creator.send('DELETE', given)).status, 204);
  assertError(await creator.finish(given, layer.digest), 404, 'BLOB_UPLOAD_UNKNOWN');

  const own = await creator.openUpload(hidden);
  assert.equal((await creator.finish(own, layer.digest, 'a layer')).status, 201);
  assert.equal((await creator.finish(own, layer.digest)).status, 201, 'the answer to the first was lost');
  assertError(await creator.finish(own, unknownDigest), 404, 'BLOB_UPLOAD_UNKNOWN');
  assertError(await client.as(logins.boss).finish(own, layer.digest), 404, 'BLOB_UPLOAD_UNKNOWN');
});

test('HEAD of a blob restarts its grace period for a caller that may push, not for one that may only pull', async (t) => {
  const { client, logins, database, layer } = await world(t);
  const review = async () => {
    const rows = database.read.selectFrom('repository_blobs').select('review_at');
    return (await rows.where('digest', '=', layer.digest).execute())[0]?.review_at;
  };
  await database.transaction((db) => db.updateTable('repository_blobs').set({ review_at: 1 }).execute());
  for (const [person, expected] of [
    ['reader', (time: unknown) => time === 1],
    ['writer', (time: unknown) => Number(time) > 1],
  ] as const) {
    const { status } = await client.as(logins[person]).head(`/v2/${hidden}/blobs/${layer.digest}`);
    assert.equal(status, 200, person);
    assert.ok(expected(await review()), `${person}: ${await review()}`);
  }
});

test('a blob is mounted from a repository that the caller may pull, with and without `from`', async (t) => {
  const { client, logins, layer } = await world(t);
  await client.as(logins.root).pushContent('writer/first', 'of another');
  const writer = client.as(logins.writer);
  const mount = (query: string) =>
    writer.send('POST', `/v2/writer/own/blobs/uploads/?mount=${layer.digest}${query}`);
  assert.equal((await mount(`&from=${hidden}`)).status, 201);
  assert.equal((await mount('')).status, 201);
  // A token covers only the repositories that it names.
  const push = 'repository:writer/other:pull,push';
  const narrow = client.as(await fetchToken(client, logins.writer, push));
  const wide = client.as(await fetchToken(client, logins.writer, push, `repository:${hidden}:pull`));
  const other = `/v2/writer/other/blobs/uploads/?mount=${layer.digest}&from=${hidden}`;
  assert.equal((await narrow.send('POST', other)).status, 202);
  assert.equal((await wide.send('POST', other)).status, 201);
});

test('_catalog lists what the caller may pull, and its pages do not reveal hidden names', async (t) => {
  const { client, logins } = await world(t);
  const names = async (person: Person, query = '') =>
    (await client.get(`/v2/_catalog${query}`, logins[person])).json<{ repositories: string[] }>()
      .repositories;
  assert.deepEqual(await names('stranger'), ['stranger/own']);
  assert.deepEqual(await names('stranger', '?n=1&last=acme/a'), ['stranger/own']);
  assert.deepEqual(await names('reader'), [hidden]);
  assert.deepEqual(await names('root'), [hidden, 'stranger/own']);
  const token = await fetchToken(client, logins.stranger, 'registry:catalog:*');
  const listed = await client.get('/v2/_catalog', token);
  assert.deepEqual(listed.json(), { repositories: ['stranger/own'] });
});

test('an upload session is unknown to all but the account that opened it', async (t) => {
  const { client, logins } = await world(t);
  const location = await client.as(logins.writer).openUpload('acme/app');
  const never = location.replace(/[^/]+$/, '00000000-0000-4000-8000-000000000000');
  await client.as(logins.writer).patch(location, 'the first bytes');
  for (const person of ['creator', 'boss', 'root'] as Person[]) {
    for (const [method, body] of [['GET'], ['HEAD'], ['PATCH', 'x'], ['PUT', 'x'], ['DELETE']] as const) {
      const query = method === 'PUT' ? `?digest=${unknownDigest}` : '';
      const send = (path: string) => client.send(method, path + query, logins[person], body);
      const [one, other] = [await send(location), await send(never)];
      assert.equal(one.status, 404, `${person}: ${method}`);
      assert.equal(redacted(one, []), redacted(other, []), `${person}: ${method}`);
    }
  }
  const status = await client.get(location, logins.writer);
  assert.deepEqual([status.status, status.headers.range], [204, '0-14'], 'the session is unchanged');
  // Another token of the same account may use the session.
  const token = await fetchToken(client, logins.writer, 'repository:acme/app:pull,push');
  assert.equal((await client.send('DELETE', location, token)).status, 204);
});

test('a deleted repository in the trash answers like one that never existed, to administrators and to tokens from before', async (t) => {
  const { client, logins, database, layer, image } = await world(t);
  const scopes = [hidden, nowhere].map((name) => `repository:${name}:pull,push,delete`);
  const token = await fetchToken(client, logins.root, ...scopes);
  const id = (await database.read.selectFrom('repositories').select(['id', 'name']).execute()).find(
    ({ name }) => name === hidden,
  )?.id;
  await removeRepository(actAs(database, system), hidden, { immutableTags: [], trash: true });
  const mark = `@${id}`;
  for (const headers of [logins.root, token]) {
    const caller = client.as(headers);
    const paths = repositoryReads.map((path) => path({ layer: layer.digest, image: image.digest }));
    for (const path of paths) {
      // As after any deletion, a token for the repository is not valid for changes of another one.
      for (const method of headers === token ? ['GET', 'HEAD'] : ['GET', 'HEAD', 'DELETE']) {
        const [one, other] = [
          await caller.send(method, `/v2/${hidden}/${path}`),
          await caller.send(method, `/v2/${nowhere}/${path}`),
        ];
        assert.equal(redacted(one, [hidden]), redacted(other, [nowhere]), `${method} ${path}`);
        if (path !== `referrers/${image.digest}`) assert.ok(one.status >= 400, `${method} ${path}`);
      }
      const [one, other] = [
        await caller.get(`/v2/${hidden}${mark}/${path}`),
        await caller.get(`/v2/${nowhere}${mark}/${path}`),
      ];
      assert.equal(redacted(one, [hidden]), redacted(other, [nowhere]), path);
      assert.ok(one.status >= 400, path);
    }
  }
  const root = client.as(logins.root);
  assert.deepEqual((await root.get('/v2/_catalog')).json(), { repositories: ['stranger/own'] });
  for (const from of [`&from=${hidden}`, '', `&from=${hidden}${mark}`]) {
    const mounted = await root.send('POST', `/v2/acme/other/blobs/uploads/?mount=${layer.digest}${from}`);
    assert.notEqual(mounted.status, 201, from);
  }
});

test('a deleted manifest in the trash answers like one that never existed', async (t) => {
  const { client, logins, database, image } = await world(t);
  const root = client.as(logins.root);
  const { clock } = database;
  const manifests = new Manifests({
    ...{ database, clock, missingReferences: 'none', immutableTags: [], trash: true },
  });
  for (const reference of ['signature', image.digest]) {
    const { digest } = await manifests.get(parseName(hidden), parseReference(reference));
    await manifests.delete(parseName(hidden), parseReference(digest), system);
  }
  for (const [deleted, never] of [
    [image.digest, unknownDigest],
    ['v1', 'v9'],
  ] as const) {
    for (const method of ['GET', 'HEAD', 'DELETE']) {
      const [one, other] = [
        await root.send(method, `/v2/${hidden}/manifests/${deleted}`),
        await root.send(method, `/v2/${hidden}/manifests/${never}`),
      ];
      assert.equal(one.status, 404);
      assert.equal(redacted(one, [deleted]), redacted(other, [never]), `${method} ${deleted}`);
    }
  }
  assert.deepEqual((await root.get(`/v2/${hidden}/referrers/${image.digest}`)).json().manifests, []);
  assert.deepEqual((await root.get(`/v2/${hidden}/tags/list`)).json().tags, []);
});
