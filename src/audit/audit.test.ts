import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { dialects } from '../../test/support/databases.ts';
import { anonymousIdentity, claimantOf, type Identity } from '../access/identity.ts';
import { type AuditEntry, listAuditEntries, type NewAuditEvent } from '../db/audit-events.ts';
import { type Database, DatabaseUnavailable } from '../db/database.ts';
import { setProperty } from '../db/properties.ts';
import { refuseWhenReadOnly } from '../db/read-only.ts';
import { Audit, type AuditParts } from './audit.ts';
import type { AuditEvent } from './event.ts';

const alice: Identity = {
  principal: { kind: 'user', id: 7, name: 'alice' },
  credential: { kind: 'token', id: 3 },
};
const push: AuditEvent = { action: 'manifest.push', allowed: true, identity: alice, repository: 'acme/app' };
const refusal: AuditEvent = {
  action: 'manifest.pull',
  allowed: false,
  identity: anonymousIdentity,
  address: '192.0.2.1',
  repository: 'acme/app',
  error: 'DENIED',
};

/** An audit log with its rows, and the calls of its observer. */
function observe(database: Database, parts: Partial<AuditParts> = {}) {
  const told = { written: 0, failed: [] as unknown[], lost: [] as NewAuditEvent[] };
  const audit = new Audit({
    database,
    observer: {
      written: (events) => (told.written += events),
      failed: (error) => told.failed.push(error),
      lost: (events) => told.lost.push(...events),
    },
    ...parts,
  });
  return { audit, told, rows: () => listAuditEntries(database.read, {}, undefined, 100_000) };
}

/** A database that refuses transactions while `down` is true. */
function unreliable(database: Database) {
  const state = { down: true };
  const transaction: Database['transaction'] = (work, options) =>
    state.down ? Promise.reject(new DatabaseUnavailable('away')) : database.transaction(work, options);
  return { state, database: { ...database, transaction } };
}

for (const { name, open } of dialects) {
  test(`${name}: writes an event with all its fields within half a second`, async (t) => {
    const { audit, rows } = observe(await open(t));
    t.after(() => audit.close());
    const told = performance.now();
    audit.record({
      ...push,
      address: '192.0.2.1',
      tag: 'v1',
      digest: 'sha256:00',
      status: 201,
      detail: { tags: ['a', 'b'] },
      requestId: 'id-1',
      at: 1_000,
    });
    assert.deepEqual(await rows(), [], 'the event is not written at once');
    while ((await rows()).length === 0 && performance.now() < told + 5_000) await delay(10);
    const took = performance.now() - told;
    const [{ id, ...row }] = (await rows()) as [AuditEntry];
    assert.ok(id > 0 && took < 1_500, `${took} ms`);
    assert.deepEqual(row, {
      source: 'event',
      at: 1_000,
      action: 'manifest.push',
      allowed: 1,
      actor: 'user:7',
      actor_name: 'alice',
      credential: 'token:3',
      address: '192.0.2.1',
      repository: 'acme/app',
      tag: 'v1',
      digest: 'sha256:00',
      status: 201,
      error: null,
      detail: '{"tags":["a","b"]}',
      request_id: 'id-1',
      old_digest: null,
      client: null,
    });
  });

  test(`${name}: writes thousands of events in order`, async (t) => {
    const { audit, told, rows } = observe(await open(t));
    for (let i = 0; i < 3_000; i++) audit.record({ ...push, tag: `v${i}` });
    await audit.close();
    const tags = (await rows()).map(({ tag }) => tag);
    assert.deepEqual(
      tags,
      Array.from({ length: 3_000 }, (_, i) => `v${i}`),
    );
    assert.deepEqual([told.written, told.lost], [3_000, []]);
  });

  test(`${name}: shortens long text in an event, and replaces characters that a database rejects`, async (t) => {
    const { audit, rows } = observe(await open(t));
    const principal = { kind: 'holder', name: `a\0b\ud800\u001b[2J${'x'.repeat(10_000)}` } as const;
    const detail = { nul: '\0', lone: '\ud800' };
    audit.record({ ...push, identity: { principal, credential: { kind: 'foreign' } }, detail });
    audit.record({ ...push, detail: { long: 'x'.repeat(100_000) } });
    await audit.close();
    const [odd, long] = await rows();
    assert.match(odd?.actor_name as string, /^a\ufffdb\ufffd\ufffd\[2Jx{400,600}$/);
    assert.deepEqual(JSON.parse(odd?.detail as string), detail);
    assert.deepEqual(JSON.parse(long?.detail as string), { omitted: '100011 characters' });
  });

  test(`${name}: events wait while the registry is read-only, and are written afterwards`, async (t) => {
    const database = await open(t);
    await database.transaction((db) => setProperty(db, 'read-only', 'moving'));
    const { audit, told, rows } = observe(refuseWhenReadOnly(database));
    // Closes the log before its database, even if the test fails.
    t.after(() => audit.close());
    audit.record(push);
    await audit.flush();
    assert.deepEqual([await rows(), told.failed.length], [[], 1]);
    await database.transaction((db) => setProperty(db, 'read-only', undefined));
    await audit.flush();
    assert.deepEqual([(await rows()).length, told.lost], [1, []]);
  });
}

const { open } = dialects[0] as (typeof dialects)[number];

test('reports an outage of the database once, and writes the events after it', async (t) => {
  const { state, database } = unreliable(await open(t));
  const { audit, told, rows } = observe(database, { times: { write: 1, retry: 5, flood: 60_000 } });
  t.after(() => audit.close());
  audit.record(push);
  while (told.failed.length === 0) await delay(5);
  await audit.flush();
  assert.equal(told.failed.length, 1, 'one warning, not one for each attempt');
  state.down = false;
  while (told.written === 0) await delay(5);
  assert.equal((await rows()).length, 1);
  state.down = true;
  audit.record(push);
  await audit.flush();
  assert.equal(told.failed.length, 2, 'one warning for each outage');
  state.down = false;
});

test('a full queue merges anonymous refusals first, and keeps every other event', async (t) => {
  const { state, database } = unreliable(await open(t));
  const { audit, told, rows } = observe(database, { capacity: 10 });
  for (let i = 0; i < 8; i++) audit.record({ ...refusal, address: `192.0.2.${i}`, at: i });
  for (let i = 0; i < 8; i++) audit.record({ ...push, tag: `v${i}` });
  for (let i = 8; i < 20; i++) audit.record({ ...refusal, address: `192.0.2.${i}`, at: i });
  await audit.flush();
  state.down = false;
  await audit.flush();
  const all = await rows();
  const by = (action: string) => all.filter((row) => row.action === action);
  assert.deepEqual(
    by('manifest.push').map(({ tag }) => tag),
    Array.from({ length: 8 }, (_, i) => `v${i}`),
  );
  const [summary, ...more] = by('audit.overflow');
  const { count, since } = JSON.parse(summary?.detail as string);
  assert.deepEqual([since, summary?.at, summary?.allowed, more], [0, 19, 0, []]);
  assert.equal(count + by('manifest.pull').length, 20);
  assert.deepEqual(told.lost, []);
  await audit.close();
});

test('drops the oldest event when the queue is full, and reports it', async (t) => {
  const { state, database } = unreliable(await open(t));
  const { audit, told, rows } = observe(database, { capacity: 3 });
  for (const tag of ['a', 'b', 'c', 'd']) audit.record({ ...push, tag });
  await audit.flush();
  audit.record({ ...push, tag: 'e' });
  const tags = (rows: readonly NewAuditEvent[]) => rows.map(({ tag }) => tag);
  assert.deepEqual(tags(told.lost), ['a', 'b']);
  state.down = false;
  await audit.close();
  assert.deepEqual(tags(await rows()), ['c', 'd', 'e']);
});

test('reports as lost the events that close cannot write', async (t) => {
  const { database } = unreliable(await open(t));
  const { audit, told } = observe(database);
  audit.record(push);
  await audit.close();
  assert.equal(told.lost.length, 1);
});

test('a refusal repeated within a minute is two events: the first, and the count of the others', async (t) => {
  const database = await open(t);
  let now = 1_000_000;
  const { audit, rows } = observe(
    { ...database, clock: () => now },
    { times: { write: 1, retry: 1, flood: 60_000 } },
  );
  t.after(() => audit.close());
  for (let i = 0; i < 1_000; i++) audit.record({ ...refusal, repository: i % 2 ? 'acme/app' : 'acme/web' });
  await audit.flush();
  assert.equal((await rows()).length, 1);
  now += 60_000;
  while ((await rows()).length < 2) await delay(5);
  const [, rest] = await rows();
  assert.deepEqual(JSON.parse(rest?.detail as string), { count: 999, since: 1_000_000 });
  assert.deepEqual([rest?.actor, rest?.address, rest?.repository], ['anonymous', '192.0.2.1', null]);
  audit.record(refusal);
  await audit.flush();
  assert.equal((await rows()).length, 3, 'the next minute counts from zero');
});

test('merges only refusals of the same actor, network, action and error, and no allowed actions', async (t) => {
  const { audit, rows } = observe(await open(t));
  const events: AuditEvent[] = [
    refusal,
    { ...refusal, identity: alice },
    { ...refusal, address: '192.0.2.2' },
    { ...refusal, action: 'blob.pull' },
    { ...refusal, error: 'UNAUTHORIZED' },
    push,
    push,
  ];
  for (const event of events) audit.record(event);
  await audit.flush();
  assert.equal((await rows()).length, events.length);
  await audit.close();
  assert.equal((await rows()).length, events.length, 'a single event has no summary');
});

test('unauthenticated callers of one network cause at most 41 events a minute', async (t) => {
  const { audit, rows } = observe(await open(t));
  const errors = ['UNAUTHORIZED', 'DENIED', 'TOOMANYREQUESTS'];
  for (let i = 0; i < 5_000; i++) {
    audit.record({
      action: (['login', 'manifest.pull', 'upload.start', 'tag.list'] as const)[i % 4]!,
      allowed: false,
      identity: i % 5 === 0 ? anonymousIdentity : claimantOf(`${i} ${'x'.repeat(5_000)}`),
      address: `2001:db8::${(i % 500).toString(16)}`,
      repository: `${'r'.repeat(250)}${i % 1000}`,
      error: errors[i % 3],
    });
    if (i === 2_500) for (let j = 0; j < 50; j++) audit.record(refusal);
    if (i % 100 === 0) await audit.flush();
  }
  audit.record({ ...refusal, identity: alice, address: '2001:db8::1' });
  await audit.close();
  const all = await rows();
  const ours = all.filter(({ address }) => address !== refusal.address && address !== '2001:db8::1');
  const byAlice = all.filter(({ actor_name }) => actor_name === 'alice');
  assert.ok(ours.length <= 41, `${ours.length} events`);
  assert.ok(JSON.stringify(ours).length < 41 * 1_000, `${JSON.stringify(ours).length} characters`);
  assert.equal(byAlice.length, 1, 'events of an authenticated user are kept');
  assert.equal(
    all.filter(({ address }) => address === refusal.address).length,
    2,
    'events of another network are kept',
  );
  const counts = all.map(({ detail }) => (detail === null ? 1 : JSON.parse(detail).count));
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    5_051,
  );
});

test('refusals from 20,000 networks cause at most 1,010 events', async (t) => {
  const { audit, rows } = observe(await open(t));
  for (let i = 0; i < 20_000; i++) {
    audit.record({ ...refusal, address: `2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::1` });
    if (i % 100 === 0) await audit.flush();
  }
  await audit.close();
  const all = await rows();
  assert.ok(all.length <= 1_010, `${all.length} events`);
  const counts = all.map(({ detail }) => (detail === null ? 1 : JSON.parse(detail).count));
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    20_000,
  );
  assert.equal(all.at(-1)?.address, null);
});
