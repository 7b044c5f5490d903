import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeRepository } from '../../test/support/databases.ts';
import { parseName, type RepositoryName } from '../oci/name.ts';
import { findOrCreateRepository } from './repositories.ts';
import { deleteAliasesBelow, deleteExpiredAliases, insertAlias, listAliases } from './repository-aliases.ts';
import { findAllNamed, findByAlias, findNamed, type NamedRepository } from './repository-names.ts';
import { hideRepository, unhideRepository } from './trash.ts';

const app = parseName('acme/app');
const old = parseName('acme/old');
const older = parseName('acme/older');
const absent = parseName('acme/absent');

for (const { name, open } of dialects) {
  test(`${name}: finds a repository by its name and by aliases until they expire`, async (t) => {
    const database = await open(t);
    const { read } = database;
    const id = await makeRepository(database, app);
    await database.transaction(async (db) => {
      await insertAlias(db, { name: old, repository: id, expiresAt: 100 }, 1);
      await insertAlias(db, { name: older, repository: id, expiresAt: 50 }, 1);
    });
    const found = { id, name: app, visibility: 'private' } as const;
    const byAlias = { ...found, aliasUntil: 100 };
    assert.deepEqual(await findNamed(read, app, 60), { ...found, aliasUntil: undefined });
    assert.deepEqual(await findNamed(read, old, 60), byAlias);
    for (const missing of [older, absent]) assert.equal(await findNamed(read, missing, 60), undefined);
    assert.deepEqual(await findByAlias(read, old, 60), byAlias);
    for (const missing of [app, older, absent]) {
      assert.equal(await findByAlias(read, missing, 60), undefined);
    }
    assert.deepEqual(
      await findAllNamed(read, [old, absent, app, older], 60),
      new Map<RepositoryName, NamedRepository>([
        [old, byAlias],
        [app, { ...found, aliasUntil: undefined }],
      ]),
    );
    assert.deepEqual(await findAllNamed(read, [], 60), new Map());
    assert.deepEqual(
      (await listAliases(read, '', 10, 60)).map((row) => ({ ...row })),
      [{ name: old, repository: app, expiresAt: 100 }],
    );
    assert.equal(await database.transaction((db) => deleteExpiredAliases(db, 60, 10)), 1);
    assert.equal((await listAliases(read, '', 10, 0)).length, 1);
  });

  test(`${name}: a new repository replaces the alias with its name, for good`, async (t) => {
    const database = await open(t);
    const id = await makeRepository(database, app);
    await database.transaction((db) => insertAlias(db, { name: old, repository: id, expiresAt: 100 }, 1));
    const made = await database.transaction((db) => findOrCreateRepository(db, old, 2));
    assert.deepEqual((await findNamed(database.read, old, 2))?.id, made);
    await database.transaction((db) => db.deleteFrom('repositories').where('id', '=', made).execute());
    assert.equal(await findNamed(database.read, old, 2), undefined);

    // Nor does an alias hide a repository, if both rows exist after all.
    const both = await makeRepository(database, old);
    await database.transaction((db) => insertAlias(db, { name: old, repository: id, expiresAt: 100 }, 1));
    assert.deepEqual((await findNamed(database.read, old, 2))?.id, both);
    assert.deepEqual((await findAllNamed(database.read, [old], 2)).get(old)?.id, both);
    assert.equal((await findAllNamed(database.read, [old], 2)).get(old)?.aliasUntil, undefined);
    assert.equal(await findByAlias(database.read, old, 2), undefined);
  });

  test(`${name}: an alias finds no repository while that is in the trash`, async (t) => {
    const database = await open(t);
    const { read } = database;
    const id = await makeRepository(database, app);
    await database.transaction(async (db) => {
      await insertAlias(db, { name: old, repository: id, expiresAt: 100 }, 1);
      await hideRepository(db, id, app, 2);
    });
    assert.equal(await findNamed(read, old, 3), undefined);
    assert.equal(await findByAlias(read, old, 3), undefined);
    assert.deepEqual(await findAllNamed(read, [old], 3), new Map());
    assert.deepEqual(await listAliases(read, '', 10, 3), []);
    await database.transaction((db) => unhideRepository(db, id, app, app));
    assert.equal((await findNamed(read, old, 3))?.id, id);
  });

  test(`${name}: a deletion of a repository deletes its aliases, and one of a namespace's aliases no others`, async (t) => {
    const database = await open(t);
    const id = await makeRepository(database, app);
    const elsewhere = parseName('acme2/app');
    await database.transaction(async (db) => {
      for (const alias of [old, elsewhere]) {
        await insertAlias(db, { name: alias, repository: id, expiresAt: 100 }, 1);
      }
      await deleteAliasesBelow(db, 'acme');
    });
    const names = async () => (await listAliases(database.read, '', 10, 1)).map(({ name }) => name);
    assert.deepEqual(await names(), [elsewhere]);
    await database.transaction((db) => db.deleteFrom('repositories').where('id', '=', id).execute());
    assert.deepEqual(await names(), []);
  });
}
