import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { Client } from '../../test/support/inject.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { createApp } from '../app.ts';
import { configSchema } from '../config/schema.ts';
import { readContents } from '../core/backup/contents.ts';
import { filesystemBackups } from '../storage/filesystem-backups.ts';
import { backUpsOf } from './backups.ts';

const logger = pino({ level: 'silent' });
const { signal } = new AbortController();

test('backs up the running registry with its blobs, and keeps backup.keep backups', async (t) => {
  const [data, folder] = [await temporaryDirectory(t), await temporaryDirectory(t)];
  const to = join(folder, 'backups');
  const config = configSchema.parse({
    ...{ data, listen: '127.0.0.1:0', log: { level: 'silent' } },
    backup: { to, keep: 1, blobs: true },
  });
  const app = await createApp(config);
  t.after(() => app.close());
  await new Client(app.http).pushImage('app', 'v1');
  const backUp = backUpsOf(config, logger)!;
  const first = await backUp(signal);
  assert.equal(first.blobs?.copied, 2);
  await new Client(app.http).pushImage('app', 'v2');
  const second = await backUp(signal);
  assert.deepEqual(second.pruned, [first.name]);
  const contents = await readContents(filesystemBackups(to), second.name);
  assert.equal(contents.tables.find(({ table }) => table === 'tags')?.rows, 2);
  assert.equal(contents.blobs.isCopied, true);
});

test('makes no backups without backup.to', () => {
  assert.equal(backUpsOf(configSchema.parse({}), logger), undefined);
});
