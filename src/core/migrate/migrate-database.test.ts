import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { contentOf } from '../../../test/migrate/content.ts';
import { fillDatabase } from '../../../test/migrate/large.ts';
import { dialects } from '../../../test/support/databases.ts';
import { listAuditEntries } from '../../db/audit-events.ts';
import { system } from '../../db/changes.ts';
import { type Table, tables } from '../../db/copy/tables.ts';
import type { Database } from '../../db/database.ts';
import { findProperty, setProperty } from '../../db/properties.ts';
import { readOnlyReason } from '../../db/read-only.ts';
import { findOrCreateRepository } from '../../db/repositories.ts';
import { insertUpload } from '../../db/uploads.ts';
import { asDigest } from '../../oci/digest.ts';
import { parseName } from '../../oci/name.ts';
import { CannotMigrate } from './cannot-migrate.ts';
import { migrateDatabase, type TableResult } from './migrate-database.ts';
import { syncTable } from './sync-table.ts';

const [sqlite] = dialects;
const finish = { reason: 'moved' };

function migrate(
  source: Database,
  target: Database,
  end?: typeof finish,
  parts: { problem?: (text: string) => void; signal?: AbortSignal } = {},
): Promise<TableResult[]> {
  const signal = new AbortController().signal;
  const quiet = { by: system, compared() {}, begin() {}, problem() {}, signal };
  return migrateDatabase({ ...quiet, ...parts, source, target }, end);
}

async function filled(t: TestContext, dialect = sqlite!): Promise<Database> {
  const database = await dialect.open(t);
  await fillDatabase(database, { manifests: 300, tags: 700 });
  return database;
}

/** The changes of a running registry: at least one of every kind. */
async function goOn(database: Database): Promise<void> {
  await database.transaction(async (db) => {
    const repository = await findOrCreateRepository(db, parseName('new'), 5);
    const old = await db.selectFrom('manifests').selectAll().where('id', '=', 7).executeTakeFirstOrThrow();
    const other = await db.selectFrom('blobs').select('digest').executeTakeFirstOrThrow();
    // Deleted and pushed again: the same digest in a new row, which the tags point to.
    await db.deleteFrom('tags').where('manifest_id', '=', 7).execute();
    await db.deleteFrom('manifests').where('id', '=', 7).execute();
    const { id: _, ...values } = old;
    await db.insertInto('manifests').values(values).execute();
    const { id } = await db
      .selectFrom('manifests')
      .select('id')
      .where('digest', '=', old.digest)
      .executeTakeFirstOrThrow();
    await db
      .insertInto('tags')
      .values({ repository_id: old.repository_id, name: 'again', manifest_id: id, updated_at: 6 })
      .execute();
    await db.updateTable('tags').set({ updated_at: 99 }).where('name', '=', 'v20').execute();
    await db.deleteFrom('tags').where('name', '=', 'v21').execute();
    await db.deleteFrom('repository_blobs').where('created_at', '=', 11).execute();
    await db
      .updateTable('blobs')
      .set({ state: 'deleting', generation: 1 })
      .where('created_at', '=', 11)
      .execute();
    await db
      .insertInto('repository_blobs')
      .values({ repository_id: repository, digest: other.digest, created_at: 1 })
      .execute();
  });
}

for (const from of dialects) {
  for (const to of dialects) {
    describe(`from ${from.name} to ${to.name}`, () => {
      test('the first run copies all rows, the second the changes, and the last leaves no difference', async (t) => {
        const source = await filled(t, from);
        const target = await to.open(t);
        const first = await migrate(source, target);
        assert.deepEqual(await contentOf(target), await contentOf(source));
        assert.equal(first.find(({ table }) => table === 'tags')!.inserted, 700);

        await goOn(source);
        const second = await migrate(source, target);
        assert.deepEqual(await contentOf(target), await contentOf(source));
        const changes = second.reduce(
          (sum, { inserted, updated, deleted }) => sum + inserted + updated + deleted,
          0,
        );
        assert.ok(changes > 0 && changes < 20, `${changes} changes`);

        await source.transaction((db) => db.deleteFrom('tags').where('name', '=', 'again').execute());
        const last = await migrate(source, target, finish);
        assert.deepEqual(await contentOf(target), await contentOf(source));
        assert.equal(last.find(({ table }) => table === 'manifests')!.rows, 300);
        assert.equal(await readOnlyReason(source.read), 'moved');
        assert.equal(await readOnlyReason(target.read), undefined);
        assert.equal(await findProperty(target.read, 'migrating'), undefined);
      });

      test('copies repositories that have names which others had before', async (t) => {
        const source = await from.open(t);
        const target = await to.open(t);
        const ids = new Map<string, number>();
        const rename = (id: string, name: string) =>
          source.transaction((db) =>
            db.updateTable('repositories').set({ name }).where('id', '=', ids.get(id)!).execute(),
          );
        for (const name of ['a', 'b', 'c', 'd']) {
          ids.set(name, await source.transaction((db) => findOrCreateRepository(db, parseName(name), 1)));
        }
        await migrate(source, target);
        await rename('d', 'e');
        for (const [id, name] of ['c', 'b', 'a'].map((id, at) => [id, 'dcb'[at]!] as const))
          await rename(id, name);
        await rename('d', 'a');
        await migrate(source, target);
        assert.deepEqual(await contentOf(target), await contentOf(source));
      });

      test('ids are not reused, not even those of rows deleted before the move', async (t) => {
        const source = await filled(t, from);
        const target = await to.open(t);
        const last = await source.transaction((db) => findOrCreateRepository(db, parseName('gone'), 1));
        await source.transaction((db) => db.deleteFrom('repositories').where('id', '=', last).execute());
        await migrate(source, target, finish);
        const next = await target.transaction((db) => findOrCreateRepository(db, parseName('next'), 1));
        assert.ok(next > last, `${next} comes after ${last}`);
      });
    });
  }
}

for (const to of dialects) {
  test(`to ${to.name}: a pass leaves a tag that moved to a manifest which it has not copied`, async (t) => {
    const [source, target] = [await sqlite!.open(t), await to.open(t)];
    await fillDatabase(source, { manifests: 3, tags: 3 });
    await migrate(source, target);
    // As if it was pushed after the manifests were compared.
    await source.transaction(async (db) => {
      const { id: _, ...old } = await db.selectFrom('manifests').selectAll().executeTakeFirstOrThrow();
      const pushed = { ...old, digest: `sha256:${'0'.repeat(64)}` };
      const { id } = await db
        .insertInto('manifests')
        .values(pushed)
        .returning('id')
        .executeTakeFirstOrThrow();
      await db.updateTable('tags').set({ manifest_id: id }).execute();
    });
    const tags = tables.find(({ name }) => name === 'tags') as Table;
    const { signal } = new AbortController();
    const pass = await syncTable(tags, { source, target, signal, compared() {}, problem() {} });
    assert.deepEqual([pass.updated, pass.left], [0, 3]);
  });
}

test('open uploads are not copied, and a copy back deletes those of its target', async (t) => {
  const source = await filled(t);
  const target = await sqlite!.open(t);
  const digest = asDigest(`sha256:${'0'.repeat(64)}`)!;
  const upload = { id: 'one', repository: 1, algorithm: 'sha256' as const, digest, owner: '' };
  await source.transaction((db) => insertUpload(db, upload, 1));
  await migrate(source, target, finish);
  assert.deepEqual(await target.read.selectFrom('uploads').selectAll().execute(), []);
  await migrate(target, source, finish);
  assert.deepEqual(await source.read.selectFrom('uploads').selectAll().execute(), []);
});

test('an interrupted run is continued', async (t) => {
  const source = await filled(t);
  const target = await sqlite!.open(t);
  const interrupted = new AbortController();
  const compared = () => interrupted.abort(new Error('enough'));
  const parts = {
    source,
    target,
    by: system,
    signal: interrupted.signal,
    begin() {},
    problem() {},
    compared,
  };
  await fillDatabase(source, { manifests: 3_000, tags: 10 });
  await assert.rejects(migrateDatabase(parts, undefined), /enough/);
  const first = await migrate(source, target);
  assert.ok(first.find(({ table }) => table === 'repositories')!.inserted < 30);
  assert.deepEqual(await contentOf(target), await contentOf(source));
});

describe('a manifest whose bytes do not match its digest', () => {
  test('is reported and left out, and the registry stays writable', async (t) => {
    const source = await filled(t);
    const target = await sqlite!.open(t);
    await source.transaction((db) =>
      db
        .updateTable('manifests')
        .set({ bytes: Buffer.from('{}') })
        .where('id', '=', 5)
        .execute(),
    );
    const problems: string[] = [];
    const moving = migrate(source, target, finish, { problem: (text) => problems.push(text) });
    await assert.rejects(
      moving,
      (error) => error instanceof CannotMigrate && /a manifest/.test(error.message),
    );
    assert.match(problems.join(), /^manifest sha256:.* does not match its digest$/);
    assert.equal(await readOnlyReason(source.read), undefined);
    const { manifests } = await contentOf(target);
    assert.equal(manifests!.length, 299);
  });
});

test('records the beginning and end of each run in the source, and the end of the last one in the copy', async (t) => {
  const source = await filled(t);
  const target = await sqlite!.open(t);
  await migrate(source, target);
  await migrate(source, target, finish);
  const logOf = async ({ read }: Database) =>
    (await listAuditEntries(read, {}, undefined, 100)).map(({ action, detail }) => [
      action,
      JSON.parse(detail ?? 'null'),
    ]);
  const [first, last] = [false, true].map((finish) => ({ part: 'database', finish }));
  const inBoth = [
    ['migration.begin', first],
    ['migration.end', first],
    ['migration.begin', last],
    ['registry.read-only', { reason: 'moved' }],
  ];
  assert.deepEqual(await logOf(source), inBoth);
  assert.deepEqual(await logOf(target), [...inBoth, ['migration.end', last]]);
});

test('the registry is writable again after the last run failed', async (t) => {
  const source = await filled(t);
  const target = await sqlite!.open(t);
  const failing: Database = {
    ...target,
    transaction: async (work, options) => {
      if ((await readOnlyReason(source.read)) !== undefined) throw new Error('the target is away');
      return target.transaction(work, options);
    },
  };
  await assert.rejects(migrate(source, failing, finish), /the target is away/);
  assert.equal(await readOnlyReason(source.read), undefined);
});

describe('refuses as a target', () => {
  const refused: [what: string, prepare: (source: Database, target: Database) => Promise<unknown>, RegExp][] =
    [
      [
        'another registry',
        (_, target) => fillDatabase(target, { manifests: 1, tags: 1 }),
        /contains another registry/,
      ],
      [
        "another registry's unfinished copy",
        (_, target) => target.transaction((db) => setProperty(db, 'migrating', 'other')),
        /unfinished copy of another/,
      ],
      [
        'a finished copy that accepts pushes',
        async (source, target) => void (await migrate(source, target, finish)),
        /finished copy of it that accepts pushes/,
      ],
      [
        'a read-only copy of a read-only registry',
        async (source, target) => {
          await migrate(source, target, finish);
          await target.transaction((db) => setProperty(db, 'read-only', 'too'));
        },
        /Berth cannot tell which of them is in use/,
      ],
      [
        'any database, when the source is an unfinished copy',
        (source) => source.transaction((db) => setProperty(db, 'migrating', 'other')),
        /itself an unfinished copy/,
      ],
    ];
  for (const [what, prepare, message] of refused) {
    test(what, async (t) => {
      const source = await filled(t);
      const target = await sqlite!.open(t);
      await prepare(source, target);
      const before = await contentOf(target);
      await assert.rejects(
        migrate(source, target, finish),
        (error) => error instanceof CannotMigrate && message.test(error.message),
      );
      assert.deepEqual(await contentOf(target), before);
    });
  }

  test('the registry itself', async (t) => {
    const source = await filled(t);
    await assert.rejects(migrate(source, source, finish), /this registry's own/);
    assert.equal(await readOnlyReason(source.read), undefined);
  });
});
