import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dialects } from '../../test/support/databases.ts';
import type { Digest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import { linkBlob, unlinkBlob } from './blob-links.ts';
import { recordStored } from './blobs.ts';
import type { Db } from './prepare.ts';
import { findOrCreateRepository } from './repositories.ts';
import {
  addUsageChanges,
  afterName,
  agrees,
  deleteEmptyUsage,
  listNamespaceUsage,
  listRepositoryUsage,
  recountNamespace,
  recountRepository,
  recountUsage,
} from './usage.ts';

/** Names of two namespaces, of none, and of a repository in the trash. */
const names = ['acme/app', 'acme/app@1', 'other/app', 'plain'];
const digests = [1, 2, 3].map((n) => `sha256:${String(n).repeat(64)}` as Digest);

type Step = (db: Db) => Promise<unknown>;

const repositoryId = async (db: Db, name: string): Promise<number | undefined> =>
  (await db.selectFrom('repositories').select('id').where('name', '=', name).execute())[0]?.id;

const inRepository =
  (name: string, run: (db: Db, id: number) => Promise<unknown>): Step =>
  async (db) => {
    const id = await repositoryId(db, name);
    if (id !== undefined) await run(db, id);
  };

const name = fc.constantFrom(...names);
const digest = fc.nat(digests.length - 1);
const steps: fc.Arbitrary<[text: string, run: Step]> = fc.oneof(
  fc.tuple(name, digest).map(([name, n]): [string, Step] => [
    `link ${n} to ${name}`,
    async (db) => {
      const id = await findOrCreateRepository(db, name as ReturnType<typeof parseName>, 1);
      await recordStored(db, { digest: digests[n]!, size: 10 ** n, generation: 0 }, 1);
      await linkBlob(db, id, digests[n]!, 1);
    },
  ]),
  fc
    .tuple(name, digest)
    .map(([name, n]): [string, Step] => [
      `unlink ${n} from ${name}`,
      inRepository(name, (db, id) => unlinkBlob(db, id, digests[n]!)),
    ]),
  fc.tuple(name, fc.constantFrom('v1', 'v2')).map(([name, tag]): [string, Step] => [
    `tag ${name}:${tag}`,
    async (db) => {
      const id = await findOrCreateRepository(db, name as ReturnType<typeof parseName>, 1);
      const manifest = { repository_id: id, digest: digests[0]!, media_type: 'a/b', size: 0 };
      await db
        .insertInto('manifests')
        .values({
          ...manifest,
          subject_digest: null,
          artifact_type: null,
          created_at: 1,
          annotations: null,
          bytes: Buffer.alloc(0),
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const [{ id: manifest_id }] = (await db
        .selectFrom('manifests')
        .select('id')
        .where('repository_id', '=', id)
        .execute()) as [{ id: number }];
      await db
        .insertInto('tags')
        .values({ repository_id: id, name: tag, manifest_id, updated_at: 1 })
        .onConflict((conflict) => conflict.columns(['repository_id', 'name']).doUpdateSet({ manifest_id }))
        .execute();
    },
  ]),
  name.map((name): [string, Step] => [
    `untag ${name}`,
    inRepository(name, (db, id) => db.deleteFrom('tags').where('repository_id', '=', id).execute()),
  ]),
  fc.tuple(name, name).map(([from, to]): [string, Step] => [
    `rename ${from} to ${to}`,
    inRepository(from, async (db, id) => {
      if ((await repositoryId(db, to)) !== undefined) return;
      await db.updateTable('repositories').set({ name: to }).where('id', '=', id).execute();
    }),
  ]),
  fc.tuple(name, name).map(([from, to]): [string, Step] => [
    `move the content of ${from} to ${to}`,
    inRepository(
      from,
      (db, id) =>
        inRepository(to, async (db, other) => {
          if (other === id) return;
          await db.deleteFrom('repository_blobs').where('repository_id', '=', other).execute();
          await db.deleteFrom('tags').where('repository_id', '=', other).execute();
          await db
            .updateTable('repository_blobs')
            .set({ repository_id: other })
            .where('repository_id', '=', id)
            .execute();
          await db
            .updateTable('tags')
            .set({ repository_id: other })
            .where('repository_id', '=', id)
            .execute();
        })(db) as Promise<unknown>,
    ),
  ]),
  name.map((name): [string, Step] => [
    `delete ${name}`,
    inRepository(name, async (db, id) => {
      await db.deleteFrom('repository_blobs').where('repository_id', '=', id).execute();
      await db.deleteFrom('tags').where('repository_id', '=', id).execute();
      await db
        .deleteFrom('tags')
        .where('manifest_id', 'in', (from) =>
          from.selectFrom('manifests').select('id').where('repository_id', '=', id),
        )
        .execute();
      await db.deleteFrom('manifests').where('repository_id', '=', id).execute();
      await db.deleteFrom('repositories').where('id', '=', id).execute();
    }),
  ]),
  digest.map((n): [string, Step] => [
    `resize ${n}`,
    (db) =>
      db
        .updateTable('blobs')
        .set(({ eb }) => ({ size: eb('size', '+', 7) }))
        .where('digest', '=', digests[n]!)
        .execute(),
  ]),
  fc.constant<[string, Step]>(['add the changes', (db) => addUsageChanges(db, 3)]),
);

async function everyRecount(db: Db) {
  const namespaces = ['', 'acme', 'other'];
  const repositories = await db.selectFrom('repositories').select(['id', 'name']).execute();
  const found: [string, Awaited<ReturnType<typeof recountNamespace>>][] = [];
  for (const namespace of namespaces) found.push([namespace, await recountNamespace(db, namespace)]);
  for (const { id, name } of repositories) found.push([name, await recountRepository(db, id)]);
  return found;
}

for (const { name, open } of dialects) {
  test(`${name}: usage equals a recount after any changes`, async (t) => {
    const database = await open(t);
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 40, maxLength: 50 }), async (run) => {
        await database.transaction(async (db) => {
          for (const table of ['tags', 'repository_blobs', 'manifests', 'repositories', 'blobs'] as const)
            await db.deleteFrom(table).execute();
        });
        for (const [, step] of run) await database.transaction((db) => step(db));
        for (const [of, recount] of await everyRecount(database.read))
          assert.ok(agrees(recount), `${of} after ${run.map(([text]) => text)}: ${JSON.stringify(recount)}`);
      }),
      { numRuns: name === 'SQLite' ? 20 : 4 },
    );
    await database.transaction(async (db) => {
      for (const table of ['tags', 'repository_blobs', 'manifests', 'repositories'] as const)
        await db.deleteFrom(table).execute();
    });
    while ((await database.transaction((db) => addUsageChanges(db))) > 0);
    await database.transaction((db) => deleteEmptyUsage(db));
    for (const table of ['repository_usage', 'namespace_usage', 'namespace_blobs', 'usage_changes'] as const)
      assert.deepEqual(await database.read.selectFrom(table).selectAll().execute(), [], table);
  });

  test(`${name}: lists usage, and recounts it`, async (t) => {
    const { transaction, read } = await open(t);
    const push = (name: string, ...blobs: number[]) =>
      transaction(async (db) => {
        const id = await findOrCreateRepository(db, parseName(name), 1);
        for (const n of blobs) {
          await recordStored(db, { digest: digests[n]!, size: 10 ** n, generation: 0 }, 1);
          await linkBlob(db, id, digests[n]!, 1);
        }
      });
    await push('acme/app', 0, 1);
    await push('acme/web', 1, 2);
    await push('plain', 2);
    const usage = async () => ({
      namespaces: (await listNamespaceUsage(read)).map((row) => Object.values(row)),
      repositories: (await listRepositoryUsage(read, 'acme/', '')).map(({ id: _, ...row }) =>
        Object.values(row),
      ),
    });
    const expected = {
      namespaces: [
        ['', 1, 100, 0, 1],
        ['acme', 3, 111, 0, 2],
      ],
      repositories: [
        ['acme/app', 2, 11, 0],
        ['acme/web', 2, 110, 0],
      ],
    };
    assert.deepEqual(await usage(), expected);
    assert.deepEqual(
      (await listNamespaceUsage(read, afterName(''), 1)).map(({ namespace }) => namespace),
      ['acme'],
    );
    await transaction((db) => addUsageChanges(db));
    assert.deepEqual(await usage(), expected);

    await transaction((db) => db.updateTable('namespace_usage').set({ bytes: 5 }).execute());
    assert.equal(agrees(await recountNamespace(read, 'acme')), false);
    await transaction((db) => recountUsage(db));
    assert.deepEqual(await usage(), expected);
  });
}
