import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeRepository } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import type { Db } from './prepare.ts';

const namesIn = async (db: Db): Promise<string[]> =>
  (await db.selectFrom('repositories').select('name').orderBy('name').execute()).map(({ name }) => name);

for (const { name, openInspected } of dialects) {
  test(`${name}: a snapshot sees no commit made after it began to read, and delays none`, async (t) => {
    const { database, inspection } = await openInspected(t);
    await makeRepository(database, parseName('before'));
    await inspection.snapshot(async (db) => {
      assert.deepEqual(await namesIn(db), ['before']);
      await makeRepository(database, parseName('meanwhile'));
      assert.deepEqual(await namesIn(db), ['before']);
    });
    await inspection.snapshot(async (db) => assert.deepEqual(await namesIn(db), ['before', 'meanwhile']));
    assert.deepEqual(await namesIn(inspection.read), ['before', 'meanwhile']);
  });

  test(`${name}: another snapshot can follow one that failed`, async (t) => {
    const { inspection } = await openInspected(t);
    await assert.rejects(
      inspection.snapshot(async () => Promise.reject(new Error('no space'))),
      /no space/,
    );
    assert.deepEqual(await inspection.snapshot(namesIn), []);
  });

  test(`${name}: a snapshot refuses writes`, async (t) => {
    const { inspection } = await openInspected(t);
    await assert.rejects(
      inspection.snapshot((db) =>
        db.insertInto('repositories').values({ name: 'x', created_at: 1, visibility: 'public' }).execute(),
      ),
      /read-?only/,
    );
  });
}
