import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeOrganisation, makeRepository, makeUser } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import { setDefaultVisibility } from './accounts.ts';
import { findRepositoryRow, setVisibility } from './repositories.ts';

for (const { name, open } of dialects) {
  test(`${name}: a new repository gets its namespace's default visibility and keeps it`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const alpine = await makeUser(database, 'alpine');
    // Creates the repository if it does not exist.
    const visibilityOf = async (text: string) => {
      const name = parseName(text);
      const id = await makeRepository(database, name);
      const row = await findRepositoryRow(database.read, name);
      assert.deepEqual({ ...row }, { id, name, visibility: row?.visibility });
      return row?.visibility;
    };
    assert.equal(await visibilityOf('acme/before'), 'private');
    await database.transaction(async (db) => {
      for (const account of [acme, alpine]) await setDefaultVisibility(db, account, 'public');
    });
    assert.equal(await visibilityOf('acme/app'), 'public');
    assert.equal(await visibilityOf('acme/a/b/c'), 'public');
    assert.equal(await visibilityOf('acme/before'), 'private', 'existing repositories do not change');
    assert.equal(await visibilityOf('acme-2/app'), 'private', 'a namespace without an owner');
    assert.equal(await visibilityOf('alpine'), 'private', 'a name of one component has no namespace');
  });

  test(`${name}: sets the visibility of one repository`, async (t) => {
    const database = await open(t);
    const [a, b] = ['a', 'b'].map(parseName) as [ReturnType<typeof parseName>, ReturnType<typeof parseName>];
    const id = await makeRepository(database, a);
    await makeRepository(database, b);
    for (const visibility of ['public', 'private'] as const) {
      await database.transaction((db) => setVisibility(db, id, visibility));
      assert.equal((await findRepositoryRow(database.read, a))?.visibility, visibility);
      assert.equal((await findRepositoryRow(database.read, b))?.visibility, 'private');
    }
    assert.equal(await findRepositoryRow(database.read, parseName('c')), undefined);
  });
}
