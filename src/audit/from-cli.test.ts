import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { listAuditEntries } from '../db/audit-events.ts';
import { recordFromCli } from './from-cli.ts';

for (const { name, open } of dialects) {
  test(`${name}: what a command has changed is in the log when it ends, under the system’s name of the user`, async (t) => {
    const database = await open(t);
    await recordFromCli(database, 'root', { action: 'user.create', detail: { user: 'alice' } });
    const [row] = await listAuditEntries(database.read, {}, undefined, 10);
    assert.deepEqual(
      [row?.action, row?.allowed, row?.actor, row?.actor_name, row?.credential, row?.detail],
      ['user.create', 1, 'cli:root', 'root', 'none', '{"user":"alice"}'],
    );
  });
}
