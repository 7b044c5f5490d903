import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PostgresAdapter, sql } from 'kysely';
import { dialects } from '../../test/support/databases.ts';
import { keepSchema } from './migrate.ts';

for (const { name, open } of dialects) {
  test(`${name}: keepSchema refuses the schema of another version`, async (t) => {
    const database = await open(t);
    assert.equal(await database.transaction(keepSchema), true);
    await database.transaction((db) =>
      sql`insert into kysely_migration (name, timestamp) values ('9999-newer', '')`.execute(db),
    );
    assert.equal(await database.transaction(keepSchema), false);
  });
}

const postgres = dialects.find(({ name }) => name === 'PostgreSQL');
if (postgres !== undefined) {
  test('PostgreSQL: keepSchema refuses while a migration runs, and keeps migrations waiting', async (t) => {
    const database = await postgres.open(t);
    const tables = { lockTable: '', lockRowId: '' };
    const migrating = (work: () => Promise<void>) =>
      database.transaction(async (db) => {
        const migrator = new PostgresAdapter();
        await migrator.acquireMigrationLock(db, tables);
        await work();
        await migrator.releaseMigrationLock(db, tables);
      });
    await migrating(async () => assert.equal(await database.transaction(keepSchema), false));

    const order: string[] = [];
    let migration!: Promise<void>;
    await database.transaction(async (db) => {
      assert.equal(await keepSchema(db), true);
      migration = migrating(async () => void order.push('migrated'));
      const isWaiting = sql`
        select 1 from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())
      `;
      while ((await isWaiting.execute(db)).rows.length === 0);
      order.push('decided');
    });
    await migration;
    assert.deepEqual(order, ['decided', 'migrated']);
  });
}
