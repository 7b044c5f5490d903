import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import type { Database } from './database.ts';
import { releaseLease, renewLease, takeLease } from './leases.ts';

const name = 'gc';
const length = 50;
const rest = 1000;

function take(database: Database, holder: string, now: number): Promise<boolean> {
  const lease = { name, holder, now, until: now + length, releasedBefore: now - rest };
  return database.transaction((db) => takeLease(db, lease));
}

function renew(database: Database, holder: string, now: number): Promise<boolean> {
  return database.transaction((db) => renewLease(db, { name, holder, until: now + length }));
}

function giveBack(database: Database, holder: string, at: number): Promise<boolean> {
  return database.transaction((db) => releaseLease(db, { name, holder, at }));
}

for (const dialect of dialects) {
  test(`${dialect.name}: a lease has one holder until it expires`, async (t) => {
    const database = await dialect.open(t);
    assert.equal(await take(database, 'a', 10_000), true);
    assert.equal(await take(database, 'b', 10_050), false);
    assert.equal(await take(database, 'b', 10_051), true);
    assert.equal(await take(database, 'a', 10_052), false);
  });

  test(`${dialect.name}: the holder may take its lease again`, async (t) => {
    const database = await dialect.open(t);
    await take(database, 'a', 10_000);
    assert.equal(await take(database, 'a', 10_020), true);
    assert.equal(await take(database, 'b', 10_070), false);
  });

  test(`${dialect.name}: a renewal extends the lease, and fails for a former holder`, async (t) => {
    const database = await dialect.open(t);
    await take(database, 'a', 10_000);
    assert.equal(await renew(database, 'a', 10_040), true);
    assert.equal(await take(database, 'b', 10_090), false);
    assert.equal(
      await renew(database, 'a', 10_200),
      true,
      'a late renewal succeeds if no other process took the lease',
    );
    assert.equal(await take(database, 'b', 10_251), true);
    assert.equal(await renew(database, 'a', 10_252), false);
    assert.equal(await take(database, 'a', 10_301), false, 'the failed renewal changed nothing');
  });

  test(`${dialect.name}: a released lease can be taken once releasedBefore has passed`, async (t) => {
    const database = await dialect.open(t);
    await take(database, 'a', 10_000);
    assert.equal(await giveBack(database, 'b', 10_020), false);
    assert.equal(await giveBack(database, 'a', 10_020), true);
    assert.equal(await giveBack(database, 'a', 10_030), false);
    for (const holder of ['a', 'b']) assert.equal(await take(database, holder, 11_019), false, holder);
    assert.equal(await take(database, 'b', 11_020), true);
    await giveBack(database, 'b', 0);
    assert.equal(await take(database, 'a', 11_021), true, 'the lease is free');
  });

  test(`${dialect.name}: ignores an end far in the future, written by a wrong clock`, async (t) => {
    const database = await dialect.open(t);
    const nextYear = 10_000 + 365 * 86_400_000;
    await take(database, 'a', nextYear);
    assert.equal(await take(database, 'b', 10_000), true);
    await giveBack(database, 'b', nextYear);
    assert.equal(await take(database, 'a', 10_000), true);
  });

  test(`${dialect.name}: one of many concurrent takers gets the lease`, async (t) => {
    const database = await dialect.open(t);
    const holders = Array.from({ length: 8 }, (_, i) => `holder ${i}`);
    const taken = await Promise.all(holders.map((holder) => take(database, holder, 10_000)));
    assert.equal(taken.filter(Boolean).length, 1);
  });

  test(`${dialect.name}: leases of different names are independent`, async (t) => {
    const database = await dialect.open(t);
    await take(database, 'a', 10_000);
    const other = { name: 'other', holder: 'b', now: 10_000, until: 10_050, releasedBefore: 0 };
    assert.equal(await database.transaction((db) => takeLease(db, other)), true);
  });
}
