import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loginEvent } from '../../test/support/audit-event.ts';
import { berth } from '../../test/support/berth.ts';
import { digestNumber } from '../../test/support/databases.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { insertAuditEvents, type NewAuditEvent } from '../db/audit-events.ts';
import { recordChange, system } from '../db/changes.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';

const event: NewAuditEvent = { ...loginEvent, at: Date.UTC(2026, 0, 31, 12) };

async function registryWith(t: TestContext, events: readonly NewAuditEvent[]): Promise<string> {
  const data = await temporaryDirectory(t);
  const database = await openSqlite(join(data, 'berth.db'));
  await database.transaction((db) => insertAuditEvents(db, events));
  await database.close();
  return data;
}

async function exported(data: string, ...flags: string[]): Promise<Record<string, unknown>[]> {
  const { exitCode, out, err } = await berth('audit', 'export', '--data', data, ...flags);
  assert.deepEqual([exitCode, err], [0, '']);
  return out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

test('prints an event with its fields, under the names of the API', async (t) => {
  const full = {
    ...event,
    action: 'manifest.push',
    allowed: 0,
    address: '192.0.2.1',
    repository: 'acme/app',
    tag: 'v1',
    digest: 'sha256:00',
    status: 403,
    error: 'DENIED',
    detail: '{"tags":["a"]}',
    request_id: 'r',
  };
  const data = await registryWith(t, [{ ...event, actor: 'anonymous', actor_name: '' }, full]);
  assert.deepEqual(await exported(data), [
    {
      id: 1,
      at: '2026-01-31T12:00:00.000Z',
      action: 'login',
      allowed: true,
      actor: 'anonymous',
      credential: 'password',
    },
    {
      id: 2,
      at: '2026-01-31T12:00:00.000Z',
      action: 'manifest.push',
      allowed: false,
      actor: 'user:7',
      actorName: 'alice',
      credential: 'password',
      address: '192.0.2.1',
      repository: 'acme/app',
      tag: 'v1',
      digest: 'sha256:00',
      status: 403,
      error: 'DENIED',
      requestId: 'r',
      detail: { tags: ['a'] },
    },
  ]);
});

test('events and changes are one list in the order of time, with ids that differ', async (t) => {
  const data = await registryWith(t, [event, { ...event, at: event.at + 2 }]);
  const database = await openSqlite(join(data, 'berth.db'));
  const by = { ...system, client: 'docker/28' };
  const [oldDigest, newDigest] = [digestNumber(1), digestNumber(2)];
  await database.transaction((db) =>
    recordChange(db, by, { kind: 'manifest.push', oldDigest, newDigest }, event.at + 1),
  );
  await database.close();
  const entries = await exported(data);
  assert.deepEqual(
    entries.map(({ id }) => id),
    [1, 'change:1', 2],
  );
  const { action, allowed, actor, client, digest, oldDigest: before } = entries[1] as Record<string, unknown>;
  assert.deepEqual(
    [action, allowed, actor, client, digest, before],
    ['manifest.push', true, 'system', 'docker/28', newDigest, oldDigest],
  );
});

test('prints all events of several pages, in order', async (t) => {
  const data = await registryWith(
    t,
    Array.from({ length: 2_000 }, (_, i) => ({ ...event, at: i, tag: `t${i}` })),
  );
  const tags = (await exported(data)).map(({ tag }) => tag);
  assert.deepEqual(
    tags,
    Array.from({ length: 2_000 }, (_, i) => `t${i}`),
  );
});

test('flags filter by time, repository, actor, action and outcome', async (t) => {
  const at = (text: string) => Date.parse(text);
  const data = await registryWith(t, [
    { ...event, tag: '0', at: at('2026-01-30T23:59:59.999Z') },
    { ...event, tag: '1', at: at('2026-01-31T00:00:00Z'), repository: 'acme/app' },
    { ...event, tag: '2', at: at('2026-01-31T11:00:00Z'), actor: 'user:8', actor_name: 'bob' },
    { ...event, tag: '3', at: at('2026-02-01T00:00:00Z'), action: 'tag.delete' },
    { ...event, tag: '4', at: Date.now() - 60_000, allowed: 0 },
  ]);
  for (const [flags, tags] of [
    ['', '01234'],
    ['--since 2026-01-31 --until 2026-02-01', '12'],
    ['--since 2026-01-31T12:00:00+01:00 --until 2026-01-31T11:00:00.001Z', '2'],
    ['--since 2m', '4'],
    ['--until 30s --since 2026-02-01', '34'],
    ['--repository acme/app', '1'],
    ['--user bob', '2'],
    ['--user user:8', '2'],
    ['--action tag.delete', '3'],
    ['--refused', '4'],
    ['--user nobody', ''],
  ] as const) {
    const found = await exported(data, ...flags.split(' ').filter(Boolean));
    assert.equal(found.map(({ tag }) => tag).join(''), tags, flags);
  }
});

test('prints the latest events as a table, with the same filters', async (t) => {
  const tagged = { ...event, action: 'manifest.push', repository: 'acme/app', tag: 'v1', status: 201 };
  const data = await registryWith(t, [
    { ...event, at: event.at - 2000 },
    { ...tagged, at: event.at - 1000, address: '192.0.2.1' },
    { ...tagged, tag: null, digest: `sha256:${'0123456789abcdef'.repeat(4)}` },
    { ...event, actor: 'anonymous', actor_name: '', allowed: 0, status: 401, error: 'UNAUTHORIZED' },
  ]);
  const listed = async (...flags: string[]) => {
    const { exitCode, out, err } = await berth('audit', '--data', data, ...flags);
    assert.deepEqual([exitCode, err], [0, '']);
    return out.split('\n').slice(0, -1);
  };
  assert.deepEqual(await listed(), [
    'TIME                  USER       ACTION         OBJECT                        RESULT                    ADDRESS',
    '2026-01-31T11:59:58Z  alice      login          -                             ok                        -',
    '2026-01-31T11:59:59Z  alice      manifest.push  acme/app:v1                   ok                        192.0.2.1',
    '2026-01-31T12:00:00Z  alice      manifest.push  acme/app@sha256:0123456789ab  ok                        -',
    '2026-01-31T12:00:00Z  anonymous  login          -                             refused 401 UNAUTHORIZED  -',
  ]);
  assert.match((await listed('--limit', '1')).slice(1).join(), /^2026-01-31T12:00:00Z {2}anonymous/);
  assert.equal((await listed('--user', 'alice', '--repository', 'acme/app')).length, 3);
  assert.equal((await listed('--refused', '--since', '2026-01-31')).length, 2);
});

test('the table shows the object of a change and the number of repeated refusals', async (t) => {
  const data = await temporaryDirectory(t);
  const run = async (...args: string[]) => {
    const { exitCode, err } = await berth(...args, '--data', data);
    assert.equal(exitCode, 0, err);
  };
  await run('org', 'create', 'acme', '--create');
  await run('user', 'create', 'bob', '--no-password');
  await run('org', 'member', 'add', 'acme', 'bob');
  await run('team', 'create', 'acme/dev');
  await run('robot', 'create', 'acme+ci');
  await run('grant', 'set', 'acme/**', '--role', 'read', '--team', 'acme/dev');
  await run('token', 'create', '--user', 'bob');
  await run('key', 'rotate');
  await run('user', 'delete', 'bob');
  const database = await openSqlite(join(data, 'berth.db'));
  const refused = { ...event, at: Date.now(), allowed: 0, status: 401, error: 'UNAUTHORIZED' };
  const folded = { ...refused, detail: '{"count":37,"since":0}' };
  const users = ['a', 'b', 'c', 'd', 'e'];
  const imported = { ...event, at: Date.now(), action: 'user.import', detail: JSON.stringify({ users }) };
  await database.transaction((db) => insertAuditEvents(db, [folded, imported]));
  await database.close();
  const { out } = await berth('audit', '--data', data);
  const rows = out
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(/ {2,}/).slice(2, 5));
  const [, key] = rows.find(([action]) => action === 'key.rotate') ?? [];
  assert.match(key as string, /^key \S+$/);
  assert.deepEqual(rows, [
    ['organisation.create', 'organisation acme', 'ok'],
    ['user.create', 'user bob', 'ok'],
    ['member.set', 'organisation acme, user bob', 'ok'],
    ['team.create', 'team acme/dev', 'ok'],
    ['robot.create', 'robot acme+ci', 'ok'],
    ['grant.set', 'pattern acme/**, team acme/dev', 'ok'],
    ['token.create', 'token 1, user bob', 'ok'],
    ['key.rotate', key, 'ok'],
    ['user.delete', 'user bob', 'ok'],
    ['login', '-', 'refused 401 UNAUTHORIZED, 37 times'],
    ['user.import', 'users a, b, c and 2 more', 'ok'],
  ]);
});

for (const [flags, wrong] of [
  ['--since yesterday', /'--since <time>' argument 'yesterday' is invalid\. Allowed: a duration before now/],
  [
    '--until 2026-01-31T12:00',
    /'2026-01-31T12:00' is invalid\. Allowed: .* or a time, such as 2026-01-31T12:00:00Z\.$/m,
  ],
  ['--since 2026-02-31T00:00:61Z', /is invalid/],
  ['--repository ACME', /'ACME' is invalid\. Allowed: a repository name, such as acme\/app\./],
  ['--action push', /'push' is invalid\. Allowed: login, manifest\.push, /],
] as const) {
  test(`refuses ${flags} and prints the allowed values`, async () => {
    const { exitCode, out, err } = await berth('audit', 'export', ...flags.split(' '));
    assert.deepEqual([exitCode, out], [2, '']);
    assert.match(err, wrong);
  });
}

test('fails without a registry, and creates none', async (t) => {
  const data = await temporaryDirectory(t);
  const { exitCode, err } = await berth('audit', 'export', '--data', data);
  assert.deepEqual(
    [exitCode, err],
    [1, `berth: no registry in ${data}: check the configuration, or create one with \`berth serve\`\n`],
  );
});

test('the help has examples', async () => {
  assert.match(
    (await berth('audit', 'export', '--help')).out,
    /Examples:\n {2}berth audit export --since 7d/,
  );
});
