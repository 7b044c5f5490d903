import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import { ReadOnlyRegistry } from './database.ts';
import { setProperty } from './properties.ts';
import { readOnlyReason, refuseWhenReadOnly } from './read-only.ts';
import { findOrCreateRepository, findRepository } from './repositories.ts';

const a = parseName('a');
const b = parseName('b');

for (const { name, open } of dialects) {
  test(`${name}: a read-only registry rejects transactions with the reason and serves reads`, async (t) => {
    const database = await open(t);
    const guarded = refuseWhenReadOnly(database);
    const id = await guarded.transaction((db) => findOrCreateRepository(db, a, 1));
    await database.transaction((db) => setProperty(db, 'read-only', 'moving'));
    assert.equal(await readOnlyReason(database.read), 'moving');
    const refused = guarded.transaction((db) => findOrCreateRepository(db, b, 1));
    await assert.rejects(refused, (error) => error instanceof ReadOnlyRegistry && error.reason === 'moving');
    assert.equal(await findRepository(guarded.read, a), id);
    await database.transaction((db) => setProperty(db, 'read-only', undefined));
    await guarded.transaction((db) => findOrCreateRepository(db, b, 1));
  });

  test(`${name}: nothing is committed after a registry has become read-only`, async (t) => {
    const database = await open(t);
    const guarded = refuseWhenReadOnly(database);
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const ended: string[] = [];
    const writing = guarded
      .transaction(async (db) => {
        begun.resolve();
        await goOn.promise;
        return findOrCreateRepository(db, a, 1);
      })
      .then(() => ended.push('write'));
    await begun.promise;
    const setting = database
      .transaction((db) => setProperty(db, 'read-only', 'moving'))
      .then(() => ended.push('read-only'));
    // A write that begins while the property is being set either commits before it or is rejected.
    const later = guarded
      .transaction((db) => findOrCreateRepository(db, b, 1))
      .then(
        () => ended.push('later write'),
        (error) => assert.ok(error instanceof ReadOnlyRegistry),
      );
    // A setProperty that did not wait would be done by now.
    for (let i = 0; i < 50; i++) await findRepository(database.read, a);
    const tooEarly = ended.includes('read-only');
    goOn.resolve();
    await Promise.all([writing, setting, later]);
    assert.ok(!tooEarly);
    assert.equal(ended.at(-1), 'read-only');
    assert.ok(ended.includes('write'));
    assert.notEqual(await findRepository(database.read, a), undefined);
  });
}
