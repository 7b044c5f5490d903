import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { digestsOf, insertBlobs } from '../../test/support/crowd.ts';
import { dialects, makeRepository, type TestDialect } from '../../test/support/databases.ts';
import { deleteNamespace } from '../administration/accounts.ts';
import { createOrganisation } from '../administration/organisations.ts';
import { removeRepository, repositoriesFrom } from '../administration/repositories.ts';
import { trashOf } from '../administration/trash.ts';
import { findAccount } from '../db/accounts.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { findRepository, freeNamespaces } from '../db/repositories.ts';
import { listTagMoves } from '../db/tag-history.ts';
import { hideRepository, insertTrash, listOldTrash, listTrash } from '../db/trash.ts';
import type { Digest } from '../oci/digest.ts';
import type { RegistryError } from '../oci/errors.ts';
import { ociImageIndex, ociImageManifest } from '../oci/media-types.ts';
import { type Namespace, parseName, type RepositoryName } from '../oci/name.ts';
import { parseReference, type Tag } from '../oci/reference.ts';
import { emptyTrash } from './empty-trash.ts';
import { Manifests } from './manifests.ts';
import { decideUnheld, removeUnneededBlobs } from './reclaim.ts';
import { restoreImage, restoreRepository } from './restore-trash.ts';
import { digestBytes } from './running-hash.ts';

const app = parseName('acme/app');
const [config, amd, arm] = digestsOf('blob', 3) as [Digest, Digest, Digest];

function refer(digest: Digest) {
  return { mediaType: ociImageManifest, digest, size: 1 };
}

function document(content: object) {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...content }));
  return { bytes, digest: digestBytes('sha256', bytes) };
}

function image(layers: readonly Digest[], more: object = {}) {
  const content = { config: refer(config), layers: layers.map(refer), ...more };
  return document({ mediaType: ociImageManifest, ...content });
}

const images = [image([amd]), image([arm])] as const;
const index = document({ mediaType: ociImageIndex, manifests: images.map(({ digest }) => refer(digest)) });
const signature = image([], { subject: refer(index.digest) });
/** Two referrers of each other, which no walk must follow for ever. */
const listing = document({
  mediaType: ociImageIndex,
  manifests: [refer(index.digest)],
  subject: refer(index.digest),
});
const everything = [...images, index, signature, listing];

/** A registry whose repository acme/app has an index of two images with a signature, as tags v1 and latest. */
async function makeWorld(t: TestContext, { open }: TestDialect) {
  const opened = await open(t);
  let now = 1_000;
  const clock = () => now;
  const database = { ...opened, clock };
  const manifests = new Manifests({
    ...{ database, clock, missingReferences: 'none', immutableTags: [], trash: true },
  });
  const rights = { mayCreate: true, mayUpdate: true };
  const push = (name: RepositoryName, reference: string, { bytes }: { bytes: Buffer }) =>
    manifests.put(name, parseReference(reference), {
      ...{ contentType: undefined, bytes, tags: [], conditions: {}, rights, by: system },
    });
  await insertBlobs(database, app, [config, amd, arm]);
  for (const each of everything) await push(app, each.digest, each);
  await push(app, 'v1', index);
  await push(app, 'latest', index);
  const parts = { database, by: system, immutableTags: [] };
  return {
    database,
    push,
    /** Advances the clock by a millisecond first. */
    async remove(reference: string): Promise<void> {
      now += 1;
      await manifests.delete(app, parseReference(reference), system);
    },
    restore: (reference: string) => restoreImage(parts, app, parseReference(reference)),
    restoreRepository: (name: RepositoryName, to: RepositoryName) => restoreRepository(parts, name, to),
    empty: (before: number) => emptyTrash(database, { before }),
    get: (reference: string) =>
      manifests.get(app, parseReference(reference)).then(
        ({ digest }) => digest as string,
        (error: RegistryError) => error.code,
      ),
    names: async () => (await Array.fromAsync(trashOf(database, undefined, 7))).map(({ name }) => name),
    /** Collects garbage without a grace period; returns the digests of the stored blobs. */
    async collect(): Promise<string[]> {
      now += 1;
      const decide: Parameters<typeof removeUnneededBlobs>[1] = (work) => database.transaction(work);
      for await (const _ of removeUnneededBlobs(database.read, decide, now));
      for await (const _ of decideUnheld(database.read, decide, { reviewed: now, parked: now }));
      const stored = await database.read
        .selectFrom('blobs')
        .select('digest')
        .where('state', '=', 'stored')
        .execute();
      return stored.map(({ digest }) => digest).sort();
    },
    /** Tags, manifests, and references, each with its repository. */
    async content(): Promise<string[]> {
      const { rows } = await sql<{ line: string }>`
        select r.name || ':' || t.name || ' ' || m.digest as line from tags t
          join repositories r on r.id = t.repository_id join manifests m on m.id = t.manifest_id
        union all select r.name || '@' || m.digest from manifests m join repositories r on r.id = m.repository_id
        union all select r.name || ' needs ' || f.digest from manifest_references f
          join repositories r on r.id = f.repository_id
      `.execute(database.read);
      return rows.map(({ line }) => line).sort();
    },
  };
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: Error) => error.message,
  );
}

/** The database, where this happens between a listing and the first change. */
function beforeFirstTransaction(database: Database, work: () => Promise<unknown>): Database {
  let isFirst = true;
  return {
    ...database,
    async transaction(...parameters) {
      if (isFirst) {
        isFirst = false;
        await work();
      }
      return database.transaction(...parameters);
    },
  };
}

for (const dialect of dialects) {
  test(`${dialect.name}: restores a deleted index with its children, referrers and tags, from blobs that garbage collection kept`, async (t) => {
    const world = await makeWorld(t, dialect);
    const before = await world.content();
    for (const { digest } of everything.toReversed()) await world.remove(digest);
    for (const reference of ['v1', index.digest])
      assert.equal(await world.get(reference), 'MANIFEST_UNKNOWN');
    assert.deepEqual(await world.collect(), [config, amd, arm].sort());
    const restored = await world.restore('v1');
    assert.deepEqual(restored, {
      ...{ digest: index.digest, manifests: 5, tags: ['v1', 'latest'], skipped: [] },
    });
    assert.deepEqual(await world.content(), before);
    assert.deepEqual(await world.names(), []);
    assert.deepEqual(await world.collect(), [config, amd, arm].sort());
    const repository = (await findRepository(world.database.read, app)) as number;
    const moves = await listTagMoves(world.database.read, repository, undefined, { before: 1e9, limit: 3 });
    assert.deepEqual(
      moves.map(({ kind, tag }) => [kind, tag]),
      [
        ['tag.restore', 'latest'],
        ['tag.restore', 'v1'],
        ['tag.delete', 'v1'],
      ],
    );
  });

  test(`${dialect.name}: restores a tag that was deleted alone, and keeps tags that exist again`, async (t) => {
    const world = await makeWorld(t, dialect);
    await world.remove('v1');
    assert.equal(await world.get(index.digest), index.digest);
    assert.deepEqual((await world.restore('v1')).tags, ['v1']);
    assert.equal(await world.get('v1'), index.digest);
    await world.remove(index.digest);
    await world.push(app, 'latest', images[0]);
    const { tags, skipped } = await world.restore(index.digest);
    assert.deepEqual({ tags, skipped }, { tags: ['v1'], skipped: ['latest'] });
    assert.equal(await world.get('latest'), images[0].digest);
    assert.deepEqual(await world.names(), ['acme/app:latest']);
  });

  test(`${dialect.name}: keeps a manifest that was deleted twice until its last deletion expires`, async (t) => {
    const world = await makeWorld(t, dialect);
    const at = () => world.database.clock();
    await world.remove(index.digest);
    for (const each of images) await world.push(app, each.digest, each);
    await world.push(app, 'v2', index);
    await world.remove(index.digest);
    assert.deepEqual(await world.empty(at()), { repositories: 0, manifests: 0, tags: 2 });
    assert.deepEqual((await world.restore(index.digest)).tags, ['v2']);
    await world.remove(index.digest);
    assert.deepEqual(await world.empty(at() + 1), { repositories: 0, manifests: 1, tags: 1 });
    assert.match(await messageOf(world.restore(index.digest)), /is not in the trash/);
  });

  test(`${dialect.name}: frees the blobs of manifests that were deleted for good`, async (t) => {
    const world = await makeWorld(t, dialect);
    await world.remove(images[1].digest);
    await world.remove(index.digest);
    await world.empty(world.database.clock() + 1);
    assert.deepEqual(await world.collect(), [config, amd].sort());
  });

  test(`${dialect.name}: restores a deleted repository with what the trash had of it, under another name if a new one has its name`, async (t) => {
    const world = await makeWorld(t, dialect);
    const { database } = world;
    await world.remove('v1');
    await world.remove(signature.digest);
    const id = await findRepository(database.read, app);
    await removeRepository(database, app, { immutableTags: [], trash: true });
    assert.equal(await world.get('latest'), 'NAME_UNKNOWN');
    assert.deepEqual(await Array.fromAsync(repositoriesFrom(database, '')), []);
    assert.deepEqual(await world.collect(), [config, amd, arm].sort());
    assert.match(await messageOf(world.restore('v1')), /acme\/app is in the trash: restore it first/);
    const other = await makeRepository(database, app);
    assert.notEqual(other, id);
    assert.match(await messageOf(world.restoreRepository(app, app)), /choose another name with --as/);
    const renamed = parseName('new/app');
    await world.restoreRepository(app, renamed);
    assert.equal(await findRepository(database.read, renamed), id);
    const names = (await world.content()).map((line) => line.split(/[@: ]/, 1)[0]);
    assert.deepEqual([...new Set(names)], ['new/app'], 'its other deleted manifests follow it');
    assert.deepEqual(await world.names(), [`new/app@${signature.digest}`, 'new/app:v1']);
  });

  test(`${dialect.name}: deletes a repository in the trash for good, with the manifests deleted in it before`, async (t) => {
    const world = await makeWorld(t, dialect);
    await world.remove(signature.digest);
    await removeRepository(world.database, app, { immutableTags: [], trash: true });
    assert.deepEqual(await world.empty(world.database.clock() + 1), {
      ...{ repositories: 1, manifests: 1, tags: 0 },
    });
    for (const table of ['repositories', 'manifests', 'repository_blobs', 'trash'] as const) {
      assert.deepEqual(await world.database.read.selectFrom(table).selectAll().execute(), [], table);
    }
    assert.deepEqual(await world.collect(), []);
  });

  test(`${dialect.name}: keeps a repository that was restored and deleted again since the emptying listed it`, async (t) => {
    const world = await makeWorld(t, dialect);
    const { database } = world;
    const rules = { immutableTags: [], trash: true };
    await removeRepository(database, app, rules);
    const racing = beforeFirstTransaction(database, async () => {
      await world.restoreRepository(app, app);
      await removeRepository(database, app, rules);
    });
    const emptied = await emptyTrash(racing, { before: database.clock() + 1 });
    assert.deepEqual(emptied, { repositories: 0, manifests: 0, tags: 0 });
    await world.restoreRepository(app, app);
    assert.equal(await world.get('latest'), index.digest);
  });

  test(`${dialect.name}: keeps a manifest that was restored and deleted again since the emptying listed it`, async (t) => {
    const world = await makeWorld(t, dialect);
    const { database } = world;
    await world.remove(index.digest);
    const racing = beforeFirstTransaction(database, async () => {
      await world.restore(index.digest);
      await world.remove(index.digest);
    });
    const emptied = await emptyTrash(racing, { before: database.clock() + 1 });
    assert.deepEqual(emptied, { repositories: 0, manifests: 0, tags: 0 });
    assert.deepEqual((await world.restore(index.digest)).tags, ['latest', 'v1']);
  });

  test(`${dialect.name}: a namespace is not free, and its account not deleted, while the trash has content of it`, async (t) => {
    const world = await makeWorld(t, dialect);
    const { database } = world;
    await removeRepository(database, app, { immutableTags: [], trash: true });
    assert.deepEqual(await freeNamespaces(database.read, ['acme' as Namespace], 0), new Set());
    await createOrganisation(database, { name: 'acme' });
    const account = await findAccount(database.read, 'acme' as Namespace);
    const remove = () =>
      database.transaction(async (db) => deleteNamespace(db, account as NonNullable<typeof account>, 1));
    assert.match(
      await messageOf(remove()),
      /it has repositories: acme\/app \(in the trash\); .*berth trash empty acme/,
    );
    await world.empty(database.clock() + 1);
    assert.equal(await messageOf(remove()), 'no error');
  });

  test(`${dialect.name}: empties all that was deleted before a time, of one name only, whatever the number`, async (t) => {
    const database = await dialect.open(t);
    const names = ['acme', 'acme/app', 'acme/app/sub', 'acme/gone', 'acme/apps', 'acm/app', 'acmes/app'];
    const tag = 'v1' as Tag;
    const entry = { kind: 'tag', tag, digest: amd, actor: 'system' } as const;
    for (const name of names) {
      const repository = await makeRepository(database, parseName(name));
      await database.transaction(async (db) => {
        for (const now of [4, 5]) await insertTrash(db, { ...entry, repository, now });
        if (name === 'acme/gone') await hideRepository(db, repository, parseName(name), 1);
      });
    }
    const listed = async (name?: string) => {
      const named = name === undefined ? undefined : parseName(name);
      const rows = await listOldTrash(database.read, named, 5, undefined, 100);
      return rows.map((row) => row.name.replace(/@.*/, ''));
    };
    assert.deepEqual(await listed('acme/app'), ['acme/app', 'acme/app/sub']);
    assert.deepEqual(await listed('acme/gone'), ['acme/gone']);
    assert.deepEqual(await listed('acme'), names.slice(0, 5));
    assert.deepEqual(await listed(), names);
    assert.deepEqual(await emptyTrash(database, { before: 5, name: parseName('acm') }), {
      ...{ repositories: 0, manifests: 0, tags: 1 },
    });
    const repository = (await findRepository(database.read, app)) as number;
    await database.transaction(async (db) => {
      for (let count = 0; count < 101; count++) await insertTrash(db, { ...entry, repository, now: 3 });
    });
    assert.equal((await emptyTrash(database, { before: 5 })).tags, 107);
    assert.deepEqual((await listed()).length, 0);
    assert.equal((await listTrash(database.read, undefined, { before: 1e9, limit: 100 })).length, 7);
  });
}
