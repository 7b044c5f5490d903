import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber } from '../../test/support/databases.ts';
import { usageDays } from '../administration/usage.ts';
import { linkBlob } from '../db/blob-links.ts';
import { recordStored } from '../db/blobs.ts';
import { findOrCreateRepository } from '../db/repositories.ts';
import { parseName } from '../oci/name.ts';
import { measure } from './measure.ts';
import { addUpUsage } from './usage.ts';

const day = 86_400_000;

for (const { name, open } of dialects) {
  test(`${name}: records the usage of each day once, and forgets old days`, async (t) => {
    const database = await open(t);
    const { signal } = new AbortController();
    const push = (n: number) =>
      database.transaction(async (db) => {
        const id = await findOrCreateRepository(db, parseName('acme/app'), 1);
        await recordStored(db, { digest: digestNumber(n), size: n, generation: 0 }, 1);
        await linkBlob(db, id, digestNumber(n), 1);
      });
    const runOn = (time: number) => addUpUsage({ database, clock: () => time, keepFor: 2 * day }, signal);
    await push(1);
    await runOn(day);
    assert.deepEqual(await usageDays(database, undefined, 9), [], 'not measured yet');
    await measure({ database }, signal);
    await runOn(day + 5);
    await push(10);
    await runOn(day + 7);
    await measure({ database }, signal);
    await runOn(2 * day);
    const of = async (name?: string) =>
      (await usageDays(database, name, 9)).map(({ day: at, bytes }) => [at / day, bytes]);
    const expected = [
      [1, 1],
      [2, 11],
    ];
    assert.deepEqual(await of('acme'), expected);
    assert.deepEqual(await of(), expected);
    const [last] = await usageDays(database, 'acme', 1);
    assert.deepEqual({ ...last }, { day: 2 * day, blobs: 2, bytes: 11, tags: 0, repositories: 1 });
    await runOn(4 * day);
    assert.deepEqual(await of(), [
      [2, 11],
      [4, 11],
    ]);
    assert.deepEqual(await database.read.selectFrom('usage_changes').select('id').execute(), []);
  });
}
