import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeRepository } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import type { Db } from './prepare.ts';
import { findOrCreateRepository, findRepository } from './repositories.ts';

const a = parseName('a');

const create = (db: Db) => findOrCreateRepository(db, a, 1);

for (const { name, open } of dialects) {
  test(`${name}: read sees a transaction only after its commit`, async (t) => {
    const database = await open(t);
    const id = await database.transaction(async (db) => {
      const made = await create(db);
      assert.equal(await findRepository(db, a), made);
      await new Promise(setImmediate);
      assert.equal(await findRepository(database.read, a), undefined);
      return made;
    });
    assert.equal(await findRepository(database.read, a), id);
  });

  test(`${name}: a transaction that throws changes nothing and rejects with the error`, async (t) => {
    const database = await open(t);
    const reason = new Error('changed my mind');
    const failing = database.transaction(async (db) => {
      await create(db);
      throw reason;
    });
    await assert.rejects(failing, (error) => error === reason);
    assert.equal(await findRepository(database.read, a), undefined);
    await makeRepository(database, a);
  });

  test(`${name}: a failed statement changes nothing, and the next transaction runs`, async (t) => {
    const database = await open(t);
    await makeRepository(database, a);
    const failing = database.transaction(async (db) => {
      await findOrCreateRepository(db, parseName('b'), 1);
      await db.insertInto('repositories').values({ name: 'a', created_at: 1 }).execute();
    });
    await assert.rejects(failing, /UNIQUE|duplicate/);
    assert.equal(await findRepository(database.read, parseName('b')), undefined);
    await makeRepository(database, parseName('b'));
  });

  test(`${name}: concurrent transactions that wait in between are isolated`, async (t) => {
    const database = await open(t);
    let running = 0;
    const ids = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        database
          .transaction(async (db) => {
            running += 1;
            const found = await findRepository(db, a);
            await new Promise(setImmediate);
            const id = found ?? (await create(db));
            running -= 1;
            if (i % 3 === 2) throw new Error('rolled back');
            return id;
          })
          .catch(() => undefined),
      ),
    );
    assert.equal(running, 0);
    assert.equal(new Set(ids.filter((id) => id !== undefined)).size, 1);
  });

  test(`${name}: commits a transaction with durable: false`, async (t) => {
    const database = await open(t);
    const id = await database.transaction(create, { durable: false });
    assert.equal(await findRepository(database.read, a), id);
  });

  test(`${name}: read cannot write`, async (t) => {
    const database = await open(t);
    await assert.rejects(create(database.read), /readonly|read-only/);
  });

  test(`${name}: an open database answers a ping`, async (t) => {
    await (await open(t)).ping();
  });
}
