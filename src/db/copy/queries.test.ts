import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeRepository } from '../../../test/support/databases.ts';
import { parseName } from '../../oci/name.ts';
import { findOrCreateHidden } from '../trash.ts';
import { queriesOf } from './queries.ts';
import { type Table, tables } from './tables.ts';

for (const { name, open } of dialects) {
  test(`${name}: deletes a repository before the hidden one with its deleted manifests`, async (t) => {
    const database = await open(t);
    const id = await makeRepository(database, parseName('acme/app'));
    const queries = queriesOf(tables.find((table) => table.name === 'repositories') as Table);
    await database.transaction((db) => findOrCreateHidden(db, id, parseName('acme/app'), 1));
    const [repository, hidden] = await queries.page(database.read, undefined, 10);
    await database.transaction((db) => queries.delete(db, [repository!]));
    await database.transaction((db) => queries.delete(db, [hidden!]));
    assert.deepEqual(await queries.page(database.read, undefined, 10), []);
  });
}
