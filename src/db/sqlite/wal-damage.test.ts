import assert from 'node:assert/strict';
import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { findWalDamage } from './wal-damage.ts';

/** A database with commits in its log and no checkpoint. */
async function withLog(t: TestContext): Promise<{ database: DatabaseSync; log: string; copy: string }> {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = new DatabaseSync(path);
  t.after(() => database.close());
  database.exec('pragma journal_mode = wal; pragma wal_autocheckpoint = 0; create table t (text)');
  for (let i = 0; i < 20; i++) database.exec(`insert into t values (hex(randomblob(500)))`);
  return { database, log: `${path}-wal`, copy: `${path}-copy` };
}

test('detects any changed byte before the last commit, and no damage in other logs', async (t) => {
  const { log, copy } = await withLog(t);
  const bytes = await readFile(log);
  assert.equal(await findWalDamage(log), undefined);
  const pageSize = bytes.readUInt32BE(8);
  const lastFrame = bytes.length - pageSize - 24;
  for (let at = 0; at < lastFrame; at += 977) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 0x10;
    await writeFile(copy, changed);
    assert.match((await findWalDamage(copy, 0)) ?? '', /log is damaged/, `byte ${at}`);
  }
});

test('a truncated, empty or missing log is not damaged', async (t) => {
  const { log, copy } = await withLog(t);
  const { length } = await readFile(log);
  assert.equal(await findWalDamage(`${log}-none`), undefined);
  for (const size of [0, 20, 32, 100, length - 1, length - 5_000]) {
    await copyFile(log, copy);
    await truncate(copy, size);
    assert.equal(await findWalDamage(copy), undefined, `${size} bytes`);
  }
});

test('frames from before a reset, or of a rolled back transaction, are no damage', async (t) => {
  const { database, log } = await withLog(t);
  database.exec('pragma wal_checkpoint(restart); insert into t values (1)');
  assert.equal(await findWalDamage(log), undefined);
  database.exec('pragma cache_size = 1; begin');
  for (let i = 0; i < 200; i++) database.exec(`insert into t values (hex(randomblob(2000)))`);
  database.exec('rollback; insert into t values (2)');
  assert.equal(await findWalDamage(log), undefined);
});
