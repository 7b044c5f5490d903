import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMemoryStore } from '../test/support/memory-store.ts';
import { temporaryDirectory } from '../test/support/temporary-directory.ts';
import { createApp } from './app.ts';
import { configSchema } from './config/schema.ts';
import { lockDataDirectory } from './db/sqlite/data-lock.ts';

test('closes the store and unlocks the data directory even if a listener fails to close', async (t) => {
  const data = await temporaryDirectory(t);
  const closed: string[] = [];
  const store = { ...openMemoryStore(), close: async () => void closed.push('store') };
  const config = configSchema.parse({ data, log: { level: 'silent' }, anonymous: 'push' });
  const app = await createApp(config, { store });
  t.mock.method(app.http, 'close', () => Promise.reject(new Error('a connection is stuck')));
  await assert.rejects(app.close(), /a connection is stuck/);
  assert.deepEqual(closed, ['store']);
  (await lockDataDirectory(data)).release();
});
