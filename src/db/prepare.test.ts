import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeRepository } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import { first, type Params, prepare } from './prepare.ts';

for (const { name, open } of dialects) {
  test(`${name}: builds a prepared query once per database, for read and transactions`, async (t) => {
    const [one, two] = [await open(t), await open(t)];
    const id = await makeRepository(one, parseName('a'));
    let built = 0;
    const find = prepare((db, p: Params<{ name: string }>) => {
      built += 1;
      return db.selectFrom('repositories').select('id').where('name', '=', p('name'));
    });
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(
        await first(find(one.read, { name: 'a' })),
        await one.transaction((db) => first(find(db, { name: 'a' }))),
      );
      assert.equal((await first(find(one.read, { name: 'a' })))?.id, id);
    }
    assert.equal(await first(find(two.read, { name: 'a' })), undefined, 'another database has its own query');
    // The read and write connections of a database may each build it.
    assert.ok(built <= 3, `built ${built} times`);
  });

  test(`${name}: a parameter may occur several times, beside constants`, async (t) => {
    const database = await open(t);
    await makeRepository(database, parseName('a'));
    const find = prepare((db, p: Params<{ other: string; name: string }>) =>
      db
        .selectFrom('repositories')
        .select('name')
        .where((where) => where.or([where('name', '=', p('name')), where('name', '=', p('other'))]))
        .where('name', '!=', 'b')
        .where('name', '>=', p('name'))
        .limit(5),
    );
    assert.deepEqual(
      (await find(database.read, { other: 'x', name: 'a' })).map((row) => row.name),
      ['a'],
    );
    assert.deepEqual(await find(database.read, { other: 'a', name: 'b' }), []);
  });

  test(`${name}: a failed query rejects instead of throwing`, async (t) => {
    const database = await open(t);
    const broken = prepare((db) =>
      db
        .selectFrom('repositories')
        .select('id')
        .where('nothing' as 'id', '=', 1),
    );
    const result = broken(database.read, {});
    await assert.rejects(result, /nothing/);
  });
}
