import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { dialects, digestNumber, type TestDialect } from '../../test/support/databases.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { system } from '../db/changes.ts';
import { findManifestByTag } from '../db/manifests.ts';
import { findRepository } from '../db/repositories.ts';
import type { Digest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import { parseReference, parseTag } from '../oci/reference.ts';
import { asTagRule } from '../oci/tag-rule.ts';
import { copyImage } from './copy-image.ts';
import { deleteRepository } from './delete-repository.ts';
import { Manifests } from './manifests.ts';
import { listTagHistory, planRollback, type RollbackTarget, rollBackTag } from './tag-history.ts';

const app = parseName('acme/app');
const v1 = parseTag('v1');
const [a, b, c] = [makeManifest('a'), makeManifest('b'), makeManifest('c')];

/** A registry whose clock advances by one with each request. */
async function makeWorld(t: TestContext, { open }: TestDialect) {
  const database = await open(t);
  let time = 0;
  const clock = () => ++time;
  const manifests = new Manifests({ database, clock, missingReferences: 'all', immutableTags: [] });
  const by = { ...system, actor: 'user:7', actor_name: 'alice', credential: 'token:3', client: 'docker/28' };
  const push = (tag: string, manifest: ReturnType<typeof makeManifest>) =>
    manifests.put(app, parseReference(tag), {
      ...manifest,
      ...{ tags: [], conditions: {}, rights: { mayCreate: true, mayUpdate: true }, by },
    });
  return {
    database,
    push,
    remove: (reference: string) => manifests.delete(app, parseReference(reference), by),
    rollBack: (target: RollbackTarget = {}) => rollBackTag({ ...database, clock }, by, [], app, v1, target),
    pointsTo: async (tag = v1) => (await findManifestByTag(database.read, app, tag))?.digest,
    history: async (of: { tag?: typeof v1 } = { tag: v1 }) =>
      (await listTagHistory(database, app, { ...of, limit: 100 })).moves,
  };
}

function unknown(message: RegExp) {
  return { name: 'RegistryError', code: 'MANIFEST_UNKNOWN', message };
}

for (const dialect of dialects) {
  const { name } = dialect;

  test(`${name}: lists moves and deletions with their actor, newest first, in pages`, async (t) => {
    const { database, push, remove, history } = await makeWorld(t, dialect);
    await push('v1', a);
    await push('other', a);
    await push('v1', a);
    await push('v1', b);
    await remove('v1');
    await push('v1', c);
    await remove(c.digest);
    const moves = (await history()).map(({ id: _, at, ...move }) => move);
    const by = {
      actor: 'user:7',
      actor_name: 'alice',
      credential: 'token:3',
      address: null,
      client: 'docker/28',
    };
    assert.deepEqual(
      moves,
      [
        ['tag.delete', c.digest, null],
        ['manifest.push', null, c.digest],
        ['tag.delete', b.digest, null],
        ['manifest.push', a.digest, b.digest],
        ['manifest.push', null, a.digest],
      ].map(([kind, old_digest, new_digest]) => ({ kind, tag: 'v1', old_digest, new_digest, ...by })),
    );
    assert.deepEqual(
      (await history({})).map(({ tag }) => tag),
      ['v1', 'v1', 'v1', 'v1', 'other', 'v1'],
    );
    const found = [];
    for (let before: number | undefined; ; ) {
      const page = await listTagHistory(database, app, { tag: v1, before, limit: 2 });
      found.push(page.moves.length);
      if (page.next === undefined) break;
      before = page.next;
    }
    assert.deepEqual(found, [2, 2, 1]);
  });

  test(`${name}: a later repository of the same name has a history of its own`, async (t) => {
    const { database, push, history, rollBack } = await makeWorld(t, dialect);
    await push('v1', a);
    await push('v1', b);
    const id = (await findRepository(database.read, app)) as number;
    await database.transaction((db) => deleteRepository(db, id, 5));
    const unknownName = { code: 'NAME_UNKNOWN', message: 'there is no repository acme/app' };
    await assert.rejects(history(), unknownName);
    await assert.rejects(rollBack(), unknownName);
    await push('v1', c);
    assert.deepEqual(
      (await history()).map(({ new_digest }) => new_digest),
      [c.digest],
    );
  });

  test(`${name}: refuses to roll back or overwrite an immutable tag`, async (t) => {
    const { database, push, pointsTo } = await makeWorld(t, dialect);
    await push('v1', a);
    await push('v1', b);
    await push('v2', a);
    const rules = [asTagRule('v*')!];
    const refused = { code: 'DENIED', message: /^tag v1 is immutable: rule "v\*" of the configuration/ };
    await assert.rejects(rollBackTag(database, system, rules, app, v1, {}), refused);
    const { clock } = database;
    const manifests = new Manifests({ database, clock, missingReferences: 'all', immutableTags: rules });
    const copied = copyImage(
      { database, clock, manifests, immutableTags: rules },
      {
        from: { name: app, reference: parseReference('v2') },
        to: { name: app, tag: v1 },
        ...{
          referrers: false,
          mayPull: () => true,
          rights: { mayCreate: true, mayUpdate: true },
          by: system,
        },
      },
    );
    await assert.rejects(copied, refused);
    assert.equal(await pointsTo(), b.digest);
  });

  test(`${name}: a rollback undoes the last move, a deletion or another rollback, and is recorded`, async (t) => {
    const { database, push, remove, rollBack, pointsTo, history } = await makeWorld(t, dialect);
    await push('v1', a);
    await push('v1', b);
    // Moves no tag, so there is nothing to undo.
    await push('v1', b);
    assert.deepEqual(await planRollback(database, app, v1, {}), { from: b.digest, to: a.digest });
    assert.equal(await pointsTo(), b.digest);
    assert.deepEqual(await rollBack(), { from: b.digest, to: a.digest });
    assert.equal(await pointsTo(), a.digest);
    assert.deepEqual(await rollBack(), { from: a.digest, to: b.digest });
    await remove('v1');
    assert.deepEqual(await rollBack(), { from: undefined, to: b.digest });
    assert.equal(await pointsTo(), b.digest);
    assert.deepEqual(
      (await history()).slice(0, 4).map(({ kind, old_digest, new_digest }) => [kind, old_digest, new_digest]),
      [
        ['tag.rollback', null, b.digest],
        ['tag.delete', b.digest, null],
        ['tag.rollback', a.digest, b.digest],
        ['tag.rollback', b.digest, a.digest],
      ],
    );
  });

  test(`${name}: rolls back to a digest, and records nothing if the tag points there already`, async (t) => {
    const { database, push, rollBack, pointsTo } = await makeWorld(t, dialect);
    for (const manifest of [a, b, c]) await push('v1', manifest);
    await rollBack({ to: a.digest });
    assert.equal(await pointsTo(), a.digest);
    assert.deepEqual(await rollBack({ to: a.digest }), { from: a.digest, to: a.digest });
    assert.equal((await database.read.selectFrom('changes').select('id').execute()).length, 4);
  });

  test(`${name}: rolls back to the manifest of a tag before a time`, async (t) => {
    const { push, remove, rollBack, pointsTo, history } = await makeWorld(t, dialect);
    await push('v1', a);
    await push('v1', b);
    await remove('v1');
    await push('v1', c);
    const [recreated, deleted, moved, created] = (await history()).map(({ at }) => at) as [
      number,
      number,
      number,
      number,
    ];
    const to = async (before: number) => (await rollBack({ before })).to;
    assert.equal(await to(deleted), b.digest);
    assert.equal(await to(moved), a.digest);
    assert.equal(await pointsTo(), a.digest);
    await assert.rejects(to(created), unknown(/^acme\/app:v1 did not exist before it was set to sha256:/));
    await assert.rejects(to(recreated), unknown(/did not exist before it was set to/));
    assert.equal(await to(1_000), a.digest, 'not moved since then');
    await remove('v1');
    await assert.rejects(to(1_000), unknown(/^acme\/app:v1 did not exist at that time$/));
  });

  test(`${name}: refuses a rollback without an earlier manifest, or to one that the repository does not hold`, async (t) => {
    const { database, push, remove, rollBack, pointsTo } = await makeWorld(t, dialect);
    await push('other', c);
    await assert.rejects(rollBack(), unknown(/^there is no tag acme\/app:v1, and no record of one$/));
    await assert.rejects(rollBack({ to: c.digest }), unknown(/^there is no tag acme\/app:v1/));
    await push('v1', a);
    await assert.rejects(rollBack(), unknown(/^acme\/app:v1 did not exist before it was set to sha256:/));
    await push('v1', b);
    await remove(a.digest);
    const gone = unknown(new RegExp(`^acme/app does not hold manifest ${a.digest}: it was deleted`));
    await assert.rejects(rollBack(), gone);
    await assert.rejects(planRollback(database, app, v1, {}), gone);
    await assert.rejects(rollBack({ to: digestNumber(1) as Digest }), unknown(/does not hold manifest/));
    await database.transaction((db) => db.deleteFrom('changes').execute());
    await assert.rejects(rollBack(), unknown(/^no earlier manifest of acme\/app:v1 is recorded$/));
    assert.equal(await pointsTo(), b.digest);
  });
}
