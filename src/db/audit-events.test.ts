import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loginEvent } from '../../test/support/audit-event.ts';
import { dialects } from '../../test/support/databases.ts';
import {
  type AuditFilter,
  deleteAuditEvents,
  insertAuditEvents,
  listAuditEntries,
  type NewAuditEvent,
} from './audit-events.ts';
import type { Database } from './database.ts';

const event: NewAuditEvent = { ...loginEvent, action: 'manifest.push' };

const insert = (database: Database, events: readonly NewAuditEvent[]): Promise<void> =>
  database.transaction((db) => insertAuditEvents(db, events));

for (const { name, open } of dialects) {
  test(`${name}: lists events as they were written, by time and then by id`, async (t) => {
    const database = await open(t);
    const full: NewAuditEvent = {
      ...event,
      address: '2001:db8::1',
      repository: 'acme/app',
      tag: '1',
      digest: 'sha256:00',
      status: 201,
      error: 'DENIED',
      detail: '{"text":"\\"ü\\n"}',
      request_id: 'r',
    };
    await insert(database, [{ ...event, at: 3 }, full, { ...event, actor_name: 'second' }]);
    const rows = (await listAuditEntries(database.read, {}, undefined, 10)).map(({ id: _, ...row }) => row);
    const written = [full, { ...event, actor_name: 'second' }, { ...event, at: 3 }];
    assert.deepEqual(
      rows,
      written.map((row) => ({ ...row, source: 'event', old_digest: null, client: null })),
    );
  });

  test(`${name}: applies each filter, and pages contain every event once`, async (t) => {
    const database = await open(t);
    const events = Array.from(
      { length: 60 },
      (_, i): NewAuditEvent => ({
        ...event,
        at: Math.floor(i / 7),
        action: i % 2 ? 'tag.delete' : 'manifest.push',
        allowed: i % 3 ? 1 : 0,
        actor: `user:${i % 4}`,
        actor_name: i % 5 ? 'alice' : 'bob',
        repository: i % 6 ? 'acme/app' : null,
        request_id: String(i),
      }),
    );
    await insert(database, events);
    const filters: [AuditFilter, (row: NewAuditEvent) => boolean][] = [
      [{}, () => true],
      [{ since: 3 }, ({ at }) => at >= 3],
      [{ until: 3 }, ({ at }) => at < 3],
      [{ since: 2, until: 5, allowed: true }, ({ at, allowed }) => at >= 2 && at < 5 && allowed === 1],
      [{ allowed: false }, ({ allowed }) => allowed === 0],
      [{ repository: 'acme/app' }, ({ repository }) => repository === 'acme/app'],
      [{ action: 'tag.delete' }, ({ action }) => action === 'tag.delete'],
      [{ actor: 'bob' }, ({ actor_name }) => actor_name === 'bob'],
      [{ actor: 'user:2' }, ({ actor }) => actor === 'user:2'],
      [{ actor: 'carol' }, () => false],
    ];
    for (const [filter, keeps] of filters) {
      const found: (string | null)[] = [];
      let page = await listAuditEntries(database.read, filter, undefined, 4);
      while (page.length > 0) {
        found.push(...page.map(({ request_id }) => request_id));
        page = await listAuditEntries(database.read, filter, page.at(-1), 4);
      }
      const wanted = events.filter(keeps).map(({ request_id }) => request_id);
      assert.deepEqual(found, wanted, JSON.stringify(filter));
    }
  });

  test(`${name}: deletes old events, oldest first, up to the limit`, async (t) => {
    const database = await open(t);
    await insert(
      database,
      [5, 1, 3, 2, 4].map((at) => ({ ...event, at })),
    );
    const remove = () => database.transaction((db) => deleteAuditEvents(db, 4, 2));
    const left = async () => (await listAuditEntries(database.read, {}, undefined, 10)).map(({ at }) => at);
    assert.equal(await remove(), 2);
    assert.deepEqual(await left(), [3, 4, 5]);
    assert.deepEqual([await remove(), await remove()], [1, 0]);
    assert.deepEqual(await left(), [4, 5]);
  });
}
