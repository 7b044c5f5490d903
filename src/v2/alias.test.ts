// Requests under the former name of a renamed repository.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type Answer,
  assertError,
  Client,
  connect,
  digestOf,
  locationOf,
  nextOf,
  refer,
  unknownDigest,
} from '../../test/support/inject.ts';
import { connectPeople, fetchToken, type Person } from '../../test/support/people.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { type ActingDatabase, actAs } from '../administration/change.ts';
import { rename } from '../administration/rename-repository.ts';
import { noQuotas } from '../core/quotas.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { findRepository } from '../db/repositories.ts';
import { parseName } from '../oci/name.ts';

const [old, name] = ['acme/old', 'acme/app'];
const day = 86_400_000;

function renameTo(database: Database, to = name, from = old) {
  const acting: ActingDatabase = actAs(database, system);
  return rename(acting, from, to, { aliasFor: day, configured: [], quotas: noQuotas, force: false });
}

function assertWarned(answer: Answer, status: number, what: string): void {
  assert.equal(answer.status, status, `${what}: ${answer.body.toString()}`);
  const text = 'repository acme/old was renamed to acme/app; use the new name, the old one works until ';
  assert.match(answer.headers.warning ?? '', new RegExp(`^299 - "${text}\\d{4}-\\d\\d-\\d\\d"$`), what);
}

const scopes = [`repository:${old}:pull,push,delete`, 'repository:acme/other:pull,push'];

/** An image under the old name, which is an alias afterwards; and the callers that may do everything there. */
async function renamed(t: TestContext, by: string) {
  if (by === 'no credentials in an open registry') {
    const { app, database } = await testRegistry(t, { anonymous: 'push' });
    const client = new Client(app.http);
    const image = await client.pushImage(old, 'v1');
    await renameTo(database);
    return { client, database, image };
  }
  const { client: anyone, logins, database } = await connectPeople(t);
  const image = await anyone.as(logins.root).pushImage(old, 'v1');
  const login = logins.maintainer;
  const early = await fetchToken(anyone, login, ...scopes);
  await renameTo(database);
  const headers =
    by === 'a login' ? login : by === 'a token' ? await fetchToken(anyone, login, ...scopes) : early;
  return { client: anyone.as(headers), database, image };
}

for (const by of ['a login', 'a token', 'a token from before', 'no credentials in an open registry']) {
  test(`${by}: all requests under a former name reach the repository, with a warning`, async (t) => {
    const { client, database, image } = await renamed(t, by);
    const at = `/v2/${old}`;
    const layer = JSON.parse(image.bytes.toString()).layers[0].digest as string;
    for (const method of ['GET', 'HEAD']) {
      for (const path of [`manifests/v1`, `manifests/${image.digest}`, `blobs/${layer}`]) {
        assertWarned(await client.send(method, `${at}/${path}`), 200, `${method} ${path}`);
      }
    }
    assertWarned(await client.get(`${at}/manifests/v2`), 404, 'a missing tag');

    // A push in chunks, which begins and ends under the former name.
    const started = await client.send('POST', `${at}/blobs/uploads/`);
    assertWarned(started, 202, 'POST');
    const patched = await client.patch(locationOf(started), 'the ');
    assertWarned(patched, 202, 'PATCH');
    const finished = await client.finish(locationOf(patched), digestOf('the blob'), 'blob');
    assertWarned(finished, 201, 'PUT');
    for (const answer of [started, patched, finished]) assert.ok(locationOf(answer).startsWith(`${at}/`));
    const mounted = await client.send(
      'POST',
      `/v2/acme/other/blobs/uploads/?mount=${digestOf('the blob')}&from=${old}`,
    );
    assert.equal(mounted.status, 201, 'mount');
    const signature = await client.image(old, { subject: refer(image) });
    const pushed = await client.putManifest(old, 'v2', signature);
    assertWarned(pushed, 201, 'PUT of a manifest');
    assert.ok(locationOf(pushed).startsWith(`${at}/`));

    const listed = await client.get(`${at}/tags/list?n=1`);
    assertWarned(listed, 200, 'tags');
    assert.deepEqual(listed.json(), { name: old, tags: ['v1'] });
    assert.equal(nextOf(listed), `${at}/tags/list?n=1&last=v1`);
    const referring = await client.get(`${at}/referrers/${image.digest}`);
    assertWarned(referring, 200, 'referrers');
    assert.equal(referring.json<{ manifests: unknown[] }>().manifests.length, 1);
    assertWarned(await client.delete(`${at}/manifests/v2`), 202, 'DELETE');

    assert.equal(await findRepository(database.read, parseName(old)), undefined, 'no second repository');
    const changes = await database.read
      .selectFrom('changes')
      .select(['kind', 'repository'])
      .where('kind', 'in', ['repository.rename', 'manifest.push', 'tag.delete'])
      .orderBy('id')
      .execute();
    assert.deepEqual(
      changes.map(({ kind, repository }) => [kind, repository]),
      [
        ['manifest.push', old],
        ['repository.rename', name],
        ['manifest.push', name],
        ['tag.delete', name],
      ],
    );
  });
}

test('the new name has no warning, and the catalog lists only it', async (t) => {
  const { client, logins, database } = await connectPeople(t);
  const root = client.as(logins.root);
  await root.pushImage(old, 'v1');
  await renameTo(database);
  const answer = await root.get(`/v2/${name}/manifests/v1`);
  assert.deepEqual([answer.status, answer.headers.warning], [200, undefined]);
  assert.deepEqual((await root.get('/v2/_catalog')).json(), { repositories: [name] });
});

test('an upload that was started before the rename continues under both names', async (t) => {
  const { app, database } = await testRegistry(t, { anonymous: 'push' });
  const client = new Client(app.http);
  const location = await client.openUpload(old);
  await renameTo(database);
  assert.equal((await client.patch(location, 'one ')).status, 202);
  const finished = await client.finish(location.replace(old, name), digestOf('one two'), 'two');
  assert.equal(finished.status, 201);
  assert.equal((await client.get(`/v2/${name}/blobs/${digestOf('one two')}`)).status, 200);
});

test('an account that may only pull cannot push under a former name, and makes no second repository', async (t) => {
  const { client, logins, database } = await connectPeople(t);
  await client.as(logins.root).pushImage(old, 'v1');
  await renameTo(database);
  const reader = client.as(logins.reader);
  assertError(await reader.send('POST', `/v2/${old}/blobs/uploads/`), 403, 'DENIED');
  assert.equal(await findRepository(database.read, parseName(old)), undefined);
});

/** The answer without what every request has of its own. */
function comparable(answer: Answer, asked: string): string {
  const { date, 'x-request-id': id, ...headers } = answer.headers;
  return JSON.stringify([answer.status, headers, answer.body.toString()]).replaceAll(asked, '<asked>');
}

for (const [person, by] of [
  ['nobody', 'a login'],
  ['writer', 'a login'],
  ['writer', 'a token'],
] as [Person, string][]) {
  test(`${person} with ${by} sees an alias of a hidden repository as a missing one`, async (t) => {
    const { client, logins, database } = await connectPeople(t);
    const image = await client.as(logins.root).pushImage(old, 'v1');
    await renameTo(database, 'secret/app');
    const missing = 'acme/abc';
    const wanted = [old, missing].map((one) => `repository:${one}:pull,push,delete`);
    const headers = by === 'a login' ? logins[person] : await fetchToken(client, logins[person], ...wanted);
    const caller: Client = client.as(headers);
    const layer = JSON.parse(image.bytes.toString()).layers[0].digest as string;
    for (const method of ['GET', 'HEAD', 'DELETE', 'PUT']) {
      for (const path of ['manifests/v1', `blobs/${layer}`, 'tags/list', `referrers/${image.digest}`]) {
        const [one, other] = [
          await caller.send(method, `/v2/${old}/${path}`),
          await caller.send(method, `/v2/${missing}/${path}`),
        ];
        assert.equal(comparable(one, old), comparable(other, missing), `${method} ${path}`);
      }
    }
    if (person === 'nobody') return;
    const mount = await caller.send('POST', `/v2/${missing}/blobs/uploads/?mount=${layer}&from=${old}`);
    assert.equal(mount.status, 202);
    // The name is free for an account that may push there; the alias ends.
    assert.equal((await caller.send('POST', `/v2/${old}/blobs/uploads/`)).status, 202);
    assertError(await client.as(logins.root).get(`/v2/${old}/manifests/v1`), 404, 'MANIFEST_UNKNOWN');
  });
}

test('after the alias expires, the former name is missing, and a new repository there refuses tokens for the old one', async (t) => {
  const { client, logins, database } = await connectPeople(t);
  const root = client.as(logins.root);
  const image = await root.pushImage(old, 'v1');
  await renameTo(database);
  const token = client.as(await fetchToken(client, logins.maintainer, `repository:${old}:pull,push`));
  assert.equal((await token.get(`/v2/${old}/manifests/v1`)).status, 200);
  await database.transaction((db) => db.updateTable('repository_aliases').set({ expires_at: 1 }).execute());
  assertError(await token.get(`/v2/${old}/manifests/v1`), 404, 'NAME_UNKNOWN');
  assert.equal((await token.send('POST', `/v2/${old}/blobs/uploads/`)).status, 401);
  const other = await root.pushImage(old, 'v1');
  assert.equal((await token.get(`/v2/${old}/manifests/v1`)).status, 401);
  assert.equal((await token.send('POST', `/v2/${old}/blobs/uploads/`)).status, 401);
  const found = await root.get(`/v2/${old}/manifests/v1`);
  assert.deepEqual(
    [found.headers['docker-content-digest'], found.headers.warning],
    [other.digest, undefined],
  );
  assert.equal((await root.head(`/v2/${name}/manifests/v1`)).headers['docker-content-digest'], image.digest);
});

test('a name that neither a repository nor an alias has is missing in an open registry', async (t) => {
  const client = await connect(t, { anonymous: 'push' });
  assertError(await client.get(`/v2/${old}/manifests/v1`), 404, 'NAME_UNKNOWN');
  assert.equal((await client.get(`/v2/${old}/referrers/${unknownDigest}`)).status, 200);
  assert.equal((await client.send('POST', `/v2/${old}/blobs/uploads/`)).status, 202);
});
