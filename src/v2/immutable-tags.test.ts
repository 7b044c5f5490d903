// Every request that moves or deletes a tag, on tags that a rule makes immutable.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, assertError, Client, connect, digestOf, serialize } from '../../test/support/inject.ts';
import { connectPeople } from '../../test/support/people.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { actAs } from '../administration/change.ts';
import { addTagRule } from '../administration/tag-rules.ts';
import { system } from '../db/changes.ts';

const path = '/v2/acme/app/manifests';

function assertRefused(answer: Answer, message: string): void {
  assertError(answer, 403, 'DENIED');
  // docker prints only the message.
  assert.equal(answer.json<{ errors: [{ message: string }] }>().errors[0].message, message);
}

test('an immutable tag cannot be moved or deleted, neither by tag nor by digest', async (t) => {
  const { app, database } = await testRegistry(t);
  const registry = new Client(app.http);
  const { digest, bytes } = await registry.pushImage('acme/app', 'v1');
  await registry.putManifest('acme/app', 'latest', bytes);
  await addTagRule(database, { repository: 'acme/app' }, 'v* except *-dev');
  const because = 'tag v1 is immutable: rule "v* except *-dev" of repository acme/app';

  const other = serialize(await registry.image('acme/app'));
  const otherDigest = digestOf(other);
  for (const reference of ['v1', `${otherDigest}?tag=v1`, `${otherDigest}?tag=new&tag=v1&tag=latest`]) {
    const answer = await registry.putManifest('acme/app', reference, other);
    assertRefused(answer, `${because}; push another tag`);
  }
  assertRefused(await registry.delete(`${path}/v1`), because);
  assertRefused(await registry.delete(`${path}/${digest}`), because);

  assert.deepEqual(await registry.tags('acme/app'), ['latest', 'v1']);
  for (const reference of ['v1', 'latest', digest]) {
    assert.deepEqual((await registry.get(`${path}/${reference}`)).body, bytes);
  }
  assert.equal((await registry.head(`${path}/${otherDigest}`)).status, 404, 'a refused push stores nothing');
});

test('a push of the same manifest, and changes of other tags, succeed', async (t) => {
  const registry = await connect(t, { tags: { immutable: ['v* except *-dev'] } });
  const { digest, bytes } = await registry.pushImage('acme/app', 'v1');
  for (const reference of ['v1', `${digest}?tag=v1&tag=latest`]) {
    assert.equal((await registry.putManifest('acme/app', reference, bytes)).status, 201, reference);
  }
  for (const tag of ['latest', 'v1-dev', 'v1-dev']) await registry.pushImage('acme/app', tag);
  const second = await registry.pushImage('acme/app', 'v2-dev');
  for (const reference of ['latest', 'v1-dev', second.digest]) {
    assert.equal((await registry.delete(`${path}/${reference}`)).status, 202, reference);
  }
  assert.deepEqual(await registry.tags('acme/app'), ['v1']);
  assert.equal((await registry.head(`${path}/v1`)).headers['docker-content-digest'], digest);
});

test('a missing immutable tag answers 404 to DELETE, and a condition that fails 412 to PUT', async (t) => {
  const registry = await connect(t, { tags: { immutable: ['*'] } });
  await registry.pushImage('acme/app', 'v1');
  assertError(await registry.delete(`${path}/v2`), 404, 'MANIFEST_UNKNOWN');
  const other = await registry.image('acme/app');
  const answer = await registry.putManifest('acme/app', 'v1', other, { 'if-none-match': '*' });
  assertError(answer, 412, 'PRECONDITION_FAILED');
});

test('an administrator cannot move an immutable tag either', async (t) => {
  const { client, logins, database } = await connectPeople(t);
  const root = client.as(logins.root);
  await root.pushImage('acme/app', '1.0.0');
  await addTagRule(actAs(database, system), { namespace: 'acme' }, 'semver');
  const answer = await root.putManifest('acme/app', '1.0.0', await root.image('acme/app'));
  assertRefused(answer, 'tag 1.0.0 is immutable: rule "semver" of namespace acme; push another tag');
});
