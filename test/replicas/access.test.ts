// A right that a command revokes ends at every replica, within the limits of docs/explanation/security-model.md.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import { run } from '../../src/cli/program.ts';
import { clientOf } from '../crash/http-client.ts';
import { assertError, type Client, type Document, type Headers } from '../support/inject.ts';
import { needs } from '../support/needs.ts';
import { basic, fetchToken } from '../support/people.ts';
import { administratorPassword } from '../support/registry.ts';
import { startBucket } from './bucket.ts';
import { Postgres } from './postgres.ts';
import { Replica } from './replica.ts';

/** Two replicas with logins, and the command line on their database. */
interface Pair {
  readonly one: Client;
  readonly two: Client;
  readonly urls: readonly [string, string];
  readonly admin: Headers;
  /** Runs a command on the database of both; returns its output. */
  readonly cli: (...args: string[]) => Promise<string>;
}

async function startPair(t: TestContext): Promise<Pair> {
  const [postgres, bucket] = await Promise.all([Postgres.start(t), startBucket(t)]);
  const url = await postgres.createDatabase('access');
  const env = {
    ...bucket.env,
    BERTH_DATABASE_URL: url,
    BERTH_ANONYMOUS: 'public',
    BERTH_ADMIN_PASSWORD: administratorPassword,
  };
  const [one, two] = await Promise.all([Replica.start(t, 1, env), Replica.start(t, 2, env)]);
  const cli = async (...args: string[]): Promise<string> => {
    const printed = { out: '', err: '' };
    const exitCode = await run(args, {
      env,
      out: (text) => {
        printed.out += text;
      },
      err: (text) => {
        printed.err += text;
      },
      input: Readable.from([Buffer.from(password)], { objectMode: false }),
    });
    assert.equal(exitCode, 0, `${args.join(' ')}: ${printed.err}`);
    return printed.out;
  };
  const admin = basic('admin', administratorPassword);
  return { one: clientOf(one.url), two: clientOf(two.url), urls: [one.url, two.url], admin, cli };
}

const password = 'password of all users';
/** Milliseconds within which every replica knows a new key, with a margin for two busy cores. */
const keysKnownWithin = 20_000;

/** Creates a user with the role maintain on `acme/**` and an access token. */
async function makeMaintainer({ cli }: Pair, name: string): Promise<{ login: Headers; token: string }> {
  await cli('user', 'create', name, '--password-stdin');
  await cli('grant', 'set', 'acme/**', '--user', name, '--role', 'maintain');
  const secret = (await cli('token', 'create', '--user', name, '--expires', '1d')).trim();
  const tokens = JSON.parse(await cli('token', 'list', '--user', name, '--json')) as { id: number }[];
  return { login: basic(name, secret), token: String(tokens[0]?.id) };
}

const scope = (name: string) => `repository:${name}:pull,push,delete`;

type Scenario = (pair: Pair) => Promise<void>;

const scenarios: Record<string, Scenario> = {
  async 'tokens and refresh tokens of one replica are valid at the other'(pair) {
    const { one, two, urls, admin } = pair;
    await one.as(admin).pushImage('acme/shared', 'v1');
    const { login } = await makeMaintainer(pair, 'shared');
    const bearer = await fetchToken(one, login, scope('acme/shared'));
    assert.equal((await two.get('/v2/acme/shared/manifests/v1', bearer)).status, 200);
    await two.as(bearer).pushImage('acme/shared', 'v2');
    assert.deepEqual(await one.as(bearer).tags('acme/shared'), ['v1', 'v2']);

    const offline = await one.fetch('GET', '/auth/token?offline_token=true', login);
    const body = new URLSearchParams({
      grant_type: 'refresh_token',
      service: 'berth',
      client_id: 'test',
      refresh_token: offline.json<{ refresh_token: string }>().refresh_token,
      scope: scope('acme/shared'),
    });
    const refreshed = await fetch(`${urls[1]}/auth/token`, { method: 'POST', body });
    assert.equal(refreshed.status, 200);
    assert.equal(((await refreshed.json()) as { scope: string }).scope, scope('acme/shared'));
  },

  async 'tokens of a deleted repository are rejected for a new one of its name, at the other replica'(pair) {
    const { one, two, admin, cli } = pair;
    const name = 'acme/again';
    await one.as(admin).pushImage(name, 'v1');
    const { login } = await makeMaintainer(pair, 'again');
    const before = two.as(await fetchToken(one, login, scope(name)));
    assert.equal((await before.get(`/v2/${name}/manifests/v1`)).status, 200);
    await cli('repo', 'delete', name);
    assertError(await before.get(`/v2/${name}/manifests/v1`), 404, 'NAME_UNKNOWN');
    const image = await one.as(admin).pushImage(name, 'v1');
    assertError(await before.get(`/v2/${name}/manifests/v1`), 401, 'UNAUTHORIZED');
    assertError(await before.get(`/v2/${name}/manifests/${image.digest}`), 401, 'UNAUTHORIZED');
    assertError(await before.putManifest(name, 'v2', image.bytes), 401, 'UNAUTHORIZED');
    assertError(await before.delete(`/v2/${name}/manifests/v1`), 401, 'UNAUTHORIZED');
    const after = two.as(await fetchToken(two, login, scope(name)));
    assert.equal((await after.get(`/v2/${name}/manifests/v1`)).status, 200);
  },

  async 'one audit log has the events of both replicas'({ one, two, admin, cli }) {
    await one.as(admin).pushImage('acme/audited', 'by-one');
    await two.as(admin).pushImage('acme/audited', 'by-two');
    assert.equal((await two.get('/v2/acme/audited/manifests/by-one', basic('admin', 'wrong'))).status, 401);
    const wanted = ['manifest.push by-one', 'manifest.push by-two', 'manifest.pull by-one'];
    await until(async () => {
      const lines = (await cli('audit', 'export', '--repository', 'acme/audited')).trim().split('\n');
      const events = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Document);
      const recorded = new Set(events.map(({ action, tag }) => `${action} ${tag}`));
      return wanted.every((event) => recorded.has(event));
    }, 10_000);
  },
};

for (const [what, revocation, status] of [
  ['the user was disabled', (name: string) => ['user', 'set', name, '--disabled'], 401],
  ['the access token was revoked', (_name: string, token: string) => ['token', 'revoke', token], 401],
  ['the grant was removed', (name: string) => ['grant', 'remove', 'acme/**', '--user', name], 403],
] as const) {
  const name = what.replaceAll(/\W/g, '-').toLowerCase();
  scenarios[
    `after ${what}, pushes and deletes fail at once at both replicas, and pulls work until the token expires`
  ] = async (pair) => {
    const { one, two, admin, cli } = pair;
    const repository = `acme/${name}`;
    const image = await one.as(admin).pushImage(repository, 'v1');
    const { login, token } = await makeMaintainer(pair, name);
    const bearers = await Promise.all(
      [one, two].map((client) => fetchToken(client, login, scope(repository))),
    );
    // Each replica accepts the other's token.
    for (const [i, client] of [two, one].entries()) {
      assert.equal((await client.get(`/v2/${repository}/manifests/v1`, bearers[i])).status, 200);
      assert.equal((await client.get(`/v2/${repository}/manifests/v1`, login)).status, 200);
    }
    await cli(...revocation(name, token));
    const code = status === 401 ? 'UNAUTHORIZED' : 'DENIED';
    for (const [i, client] of [two, one].entries()) {
      const holder = client.as(bearers[i] as Headers);
      assertError(await holder.putManifest(repository, 'v2', image.bytes), status, code);
      assertError(await holder.send('POST', `/v2/${repository}/blobs/uploads/`), status, code);
      assertError(await holder.delete(`/v2/${repository}/manifests/v1`), status, code);
      assert.equal((await holder.get(`/v2/${repository}/manifests/v1`)).status, 200);
      assertError(await client.get(`/v2/${repository}/manifests/v1`, login), status, code);
    }
  };
}

/** Runs last, because it invalidates all tokens. */
async function rotateKeys({ one, two, admin, cli }: Pair): Promise<void> {
  const name = 'acme/keys';
  await one.as(admin).pushImage(name, 'v1');
  const token = (client: Client) => fetchToken(client, admin, `repository:${name}:pull`);
  const read = async (client: Client, bearer: Headers) =>
    (await client.get(`/v2/${name}/manifests/v1`, bearer)).status;
  const old = await token(one);
  assert.equal(await read(two, old), 200);

  await cli('key', 'rotate');
  const isNew = async (client: Client) => keyOf(await token(client)) !== keyOf(old);
  await until(async () => (await isNew(one)) && (await isNew(two)), keysKnownWithin);
  for (const client of [one, two]) {
    assert.equal(await read(client, old), 200);
    for (const other of [one, two]) assert.equal(await read(client, await token(other)), 200);
  }

  await cli('key', 'rotate', '--revoke');
  const isRefused = async (client: Client) => (await read(client, old)) === 401;
  await until(async () => (await isRefused(one)) && (await isRefused(two)), keysKnownWithin);
  for (const client of [one, two]) assert.equal(await read(client, await token(client)), 200);
}

function keyOf({ authorization }: Headers): string | undefined {
  return decodeProtectedHeader(String(authorization).slice('Bearer '.length)).kid;
}

async function until(holds: () => Promise<boolean>, within: number): Promise<void> {
  const giveUpAt = performance.now() + within;
  while (!(await holds())) {
    assert.ok(performance.now() < giveUpAt, `the condition was not met within ${within} ms`);
    await delay(200);
  }
}

test('two replicas over PostgreSQL and S3', async (t) => {
  if (!needs(t, 'postgres', 'versitygw')) return;
  const pair = await startPair(t);
  for (const [name, scenario] of Object.entries(scenarios)) await t.test(name, () => scenario(pair));
  await t.test('both replicas know a rotated or revoked key within 15 seconds', () => rotateKeys(pair));
});
