import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loginEvent } from '../../test/support/audit-event.ts';
import { dialects } from '../../test/support/databases.ts';
import { deleteAuditEvents, insertAuditEvents, listAuditEntries } from '../db/audit-events.ts';
import { forget } from './forget.ts';

for (const { name, open } of dialects) {
  test(`${name}: deletes old rows in several transactions and keeps recent ones`, async (t) => {
    const database = await open(t);
    const events = Array.from({ length: 2_500 }, (_, at) => ({ ...loginEvent, at }));
    await database.transaction((db) => insertAuditEvents(db, events));
    let transactions = 0;
    const counted: typeof database = {
      ...database,
      transaction(work, options) {
        transactions += 1;
        return database.transaction(work, options);
      },
    };
    const parts = { database: counted, clock: () => 3_000, keepFor: 600 };
    assert.equal(await forget(parts, deleteAuditEvents, AbortSignal.timeout(60_000)), 2_400);
    const left = await listAuditEntries(database.read, {}, undefined, 1_000);
    assert.deepEqual([left.length, left[0]?.at, transactions], [100, 2_400, 3]);
  });
}

test('stops between batches when the signal is aborted', async (t) => {
  const { open } = dialects[0] as (typeof dialects)[number];
  const parts = { database: await open(t), clock: () => 0, keepFor: 0 };
  const stopped = AbortSignal.abort(new Error('stopped'));
  await assert.rejects(forget(parts, deleteAuditEvents, stopped), /stopped/);
});
