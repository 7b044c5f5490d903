import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { countPull, deletePullCounts, findPullCount } from './pull-counts.ts';

for (const { name, open } of dialects) {
  test(`${name}: counts pulls up to the limit, for each subject and window`, async (t) => {
    const database = await open(t);
    const count = (subject: string, start: number) =>
      database.transaction((db) => countPull(db, { subject, start }, 2), { durable: false });
    const counts = [];
    for (let i = 0; i < 4; i++) counts.push(await count('user:1', 100));
    assert.deepEqual(counts, [1, 2, undefined, undefined]);
    assert.deepEqual([await count('user:2', 100), await count('user:1', 200)], [1, 1]);
    assert.equal(await findPullCount(database.read, { subject: 'user:1', start: 100 }), 2);
    assert.equal(await findPullCount(database.read, { subject: 'user:1', start: 300 }), 0);
  });

  test(`${name}: concurrent pulls are all counted and do not exceed the limit`, async (t) => {
    const database = await open(t);
    const window = { subject: 'user:1', start: 0 };
    const counts = await Promise.all(
      Array.from({ length: 30 }, () => database.transaction((db) => countPull(db, window, 20))),
    );
    assert.equal(counts.filter((count) => count !== undefined).length, 20);
    assert.equal(new Set(counts).size, 21);
  });

  test(`${name}: deletes old windows, up to the limit`, async (t) => {
    const database = await open(t);
    for (const start of [1, 2, 3, 4]) {
      await database.transaction((db) => countPull(db, { subject: 'user:1', start }, 9));
    }
    const remove = () => database.transaction((db) => deletePullCounts(db, 4, 2));
    assert.deepEqual([await remove(), await remove(), await remove()], [2, 1, 0]);
    assert.equal(await findPullCount(database.read, { subject: 'user:1', start: 4 }), 1);
  });
}
