// A push is authorized when its headers arrive, and again when its body is complete.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { RawConnection } from '../faults/raw-connection.ts';
import { ociManifest, serialize } from '../support/inject.ts';
import { connectPeople, fetchToken, type People } from '../support/people.ts';

const name = 'acme/app';
const path = `/v2/${name}/manifests/v1`;

type Event = (people: People) => Promise<unknown>;

const events: readonly [what: string, event: Event, status: number][] = [
  ['nothing happens', async () => {}, 201],
  ['the grant is reduced', (people) => updateWriter(people, 'grants', { role: 'read' }), 403],
  ['the user is disabled', (people) => updateWriter(people, 'accounts', { disabled_at: 1 }), 401],
  ['the access token is revoked', (people) => updateWriter(people, 'access_tokens', { revoked_at: 1 }), 401],
];

function updateWriter(
  { database, accounts }: People,
  table: 'accounts' | 'grants' | 'access_tokens',
  values: object,
) {
  const column = table === 'accounts' ? 'id' : 'account_id';
  return database.transaction((db) =>
    db.updateTable(table).set(values).where(column, '=', accounts.writer).execute(),
  );
}

/** Sends the start of a manifest, runs `event`, and sends the rest. */
async function pushSlowly(t: TestContext, by: 'login' | 'token', event: Event) {
  const people = await connectPeople(t);
  const { client, logins, url } = people;
  const root = client.as(logins.root);
  const before = await root.pushImage(name, 'v1');
  const bytes = serialize(await root.image(name));
  const { authorization } =
    by === 'login' ? logins.writer : await fetchToken(client, logins.writer, `repository:${name}:pull,push`);
  const connection = await RawConnection.to(await url());
  t.after(() => connection.destroy());
  connection.request('PUT', path, {
    authorization: String(authorization),
    'content-type': ociManifest,
    'content-length': bytes.length,
    expect: '100-continue',
  });
  assert.equal((await connection.response())?.status, 100);
  connection.send(bytes.subarray(0, 10));
  await event(people);
  connection.send(bytes.subarray(10));
  const answer = await connection.response();
  const moved = (await root.get(path)).headers['docker-content-digest'] !== before.digest;
  return { status: answer?.status, moved };
}

for (const by of ['login', 'token'] as const) {
  for (const [what, event, status] of events) {
    test(`a manifest pushed with a ${by} gets ${status} if ${what} while its body arrives`, async (t) => {
      assert.deepEqual(await pushSlowly(t, by, event), { status, moved: status === 201 });
    });
  }
}
