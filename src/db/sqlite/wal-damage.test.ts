import assert from 'node:assert/strict';
import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { findWalDamage } from './wal-damage.ts';

/** A database with some commits in its log, and nothing merged. */
async function withLog(t: TestContext): Promise<{ database: DatabaseSync; log: string; copy: string }> {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = new DatabaseSync(path);
  t.after(() => database.close());
  database.exec('pragma journal_mode = wal; pragma wal_autocheckpoint = 0; create table t (text)');
  for (let i = 0; i < 20; i++) database.exec(`insert into t values (hex(randomblob(500)))`);
  return { database, log: `${path}-wal`, copy: `${path}-copy` };
}

test('any byte that changed before the last commit is seen, and no other log is called damaged', async (t) => {
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

test('a log that ends in the middle of a frame, is empty or not there is sound', async (t) => {
  const { log, copy } = await withLog(t);
  const { length } = await readFile(log);
  assert.equal(await findWalDamage(`${log}-none`), undefined);
  for (const size of [0, 20, 32, 100, length - 1, length - 5_000]) {
    await copyFile(log, copy);
    await truncate(copy, size);
    assert.equal(await findWalDamage(copy), undefined, `${size} bytes`);
  }
});

test('frames of an earlier round, and those of a transaction that was rolled back, are no damage', async (t) => {
  const { database, log } = await withLog(t);
  database.exec('pragma wal_checkpoint(restart); insert into t values (1)');
  assert.equal(await findWalDamage(log), undefined);
  database.exec('pragma cache_size = 1; begin');
  for (let i = 0; i < 200; i++) database.exec(`insert into t values (hex(randomblob(2000)))`);
  database.exec('rollback; insert into t values (2)');
  assert.equal(await findWalDamage(log), undefined);
});
