// Retention over real databases: what it removes and keeps together, and what changes while it runs.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { insertTags } from '../../../test/support/crowd.ts';
import { dialects, repositoryName, type TestDialect } from '../../../test/support/databases.ts';
import { ociIndex } from '../../../test/support/inject.ts';
import { longestTurnOf } from '../../../test/support/main-thread.ts';
import { makeManifest } from '../../../test/support/manifests.ts';
import { pauseAt } from '../../../test/support/paused-database.ts';
import type { RetentionPolicy } from '../../config/retention-policy.ts';
import { retention, system } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { findManifestByDigest, findManifestByTag } from '../../db/manifests.ts';
import { addPulls, findOwnPulls } from '../../db/pulls.ts';
import { findRepository } from '../../db/repositories.ts';
import { listRepositories } from '../../db/retention.ts';
import { listTagMoves } from '../../db/tag-history.ts';
import type { Digest } from '../../oci/digest.ts';
import { partTagsOf } from '../../oci/part-tags.ts';
import { parseReference, type Tag } from '../../oci/reference.ts';
import { asTagRule, type TagRule } from '../../oci/tag-rule.ts';
import { Manifests } from '../manifests.ts';
import { restoreImage } from '../restore-trash.ts';
import { digestBytes } from '../running-hash.ts';
import { removerOf } from './remove.ts';
import { type Judgement, type RetentionTerms, retain } from './retain.ts';

const day = 86_400_000;
/** Of the first push. */
const start = 1_000 * day;

interface Content {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly contentType: string;
}

function document(contentType: string, content: object): Content {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: contentType, ...content }));
  return { bytes, digest: digestBytes('sha256', bytes), contentType };
}

function refer({ contentType: mediaType, digest, bytes }: Content) {
  return { mediaType, digest, size: bytes.length };
}

class World {
  readonly database: Database;
  readonly configured: readonly TagRule[];
  readonly manifests: Manifests;
  time = start;

  constructor(database: Database, immutable: readonly string[] = []) {
    this.database = database;
    this.configured = immutable.map((text) => asTagRule(text) as TagRule);
    this.manifests = new Manifests({
      ...{
        database,
        clock: () => this.time,
        missingReferences: 'all',
        immutableTags: this.configured,
        trash: true,
      },
    });
  }

  async push(content: Content, reference: string = content.digest): Promise<void> {
    await this.manifests.put(repositoryName, parseReference(reference), {
      ...{ contentType: content.contentType, bytes: content.bytes, tags: [], conditions: {}, by: system },
      rights: { mayCreate: true, mayUpdate: true },
    });
  }

  async pull({ digest }: Content): Promise<void> {
    const row = await findManifestByDigest(this.database.read, repositoryName, digest);
    await this.database.transaction((db) => addPulls(db, [[row!.id, 1]], this.time));
  }

  /** Applies a policy; `remove: false` only plans. Gives the names of removed tags and the digests of removed manifests. */
  async apply(
    policy: RetentionPolicy,
    { remove = true, database = this.database, terms = {} }: ApplyOptions = {},
  ): Promise<string[]> {
    const repository = { id: (await findRepository(database.read, repositoryName))!, name: repositoryName };
    const clock = () => this.time;
    const deletions = { immutableTags: this.configured, trash: true };
    const parts = { database: { ...database, clock }, deletions, by: retention };
    const remover = remove ? removerOf(parts, repository, 'the registry') : undefined;
    const judged: Judgement[] = await Array.fromAsync(
      retain(
        {
          ...{ read: database.read, immutableTags: this.configured, now: this.time, remover },
          ...{ pullsSince: 0, movesSince: 0, ...terms },
        },
        repository,
        policy,
      ),
    );
    return judged
      .filter(({ removed }) => removed)
      .map((one) => (one.kind === 'tag' ? one.facts.tag : one.manifest.digest));
  }

  async holds(reference: string): Promise<boolean> {
    const { read } = this.database;
    const parsed = parseReference(reference);
    const row =
      parsed.kind === 'tag'
        ? await findManifestByTag(read, repositoryName, parsed.tag)
        : await findManifestByDigest(read, repositoryName, parsed.digest);
    return row !== undefined;
  }
}

interface ApplyOptions {
  readonly remove?: boolean;
  readonly database?: Database;
  readonly terms?: Partial<RetentionTerms>;
}

const untagged: RetentionPolicy = { rules: [], untagged: { removeAfter: 7 * day } };
const newestOne: RetentionPolicy = { rules: [{ tags: 'v*', keep: { newest: 1 } }] };

async function makeWorld(t: TestContext, { open }: TestDialect, immutable?: readonly string[]) {
  return new World(await open(t), immutable);
}

/** A platform that all images have. */
const shared = makeManifest('shared');

/** A multi-platform image with an attestation of BuildKit's kind, a referrer, and signatures of cosign. */
async function pushImage(world: World, tag: string) {
  const platforms = ['amd64', 'arm64', 'attestation'].map((name) => makeManifest(`${tag} ${name}`));
  const manifests = [...platforms, shared].map(refer);
  const index = document(ociIndex, { manifests, annotations: { tag } });
  const referrer = document('application/vnd.oci.image.manifest.v1+json', {
    ...{ config: refer(makeManifest('config')), layers: [], subject: refer(index), annotations: { tag } },
  });
  const signature = makeManifest(`${tag} signature`);
  const signatureTag = partTagsOf(index.digest)[1] as Tag;
  for (const content of [...platforms, shared]) await world.push(content);
  await world.push(index, tag);
  await world.push(referrer);
  await world.push(signature, signatureTag);
  const parts = [...platforms, index, referrer, signature].map(({ digest }) => digest as string);
  return { platforms, index, parts: [...parts, signatureTag] };
}

for (const dialect of dialects) {
  const { name } = dialect;

  test(`${name}: an image without a tag goes with its platforms, referrers and signatures, all of them or none`, async (t) => {
    const world = await makeWorld(t, dialect);
    const [kept, old] = [await pushImage(world, 'kept'), await pushImage(world, 'v1')];
    world.time += day;
    await world.push(makeManifest('next'), 'v1');
    world.time += 7 * day;
    assert.deepEqual(await world.apply(untagged), []);
    world.time += 1;
    const { index, platforms, parts } = old;
    const planned = await world.apply(untagged, { remove: false });
    const removed = await world.apply(untagged);
    assert.deepEqual(removed, planned);
    // Its signature without a tag goes when its own time has passed.
    const signature = parts.at(-2) as string;
    assert.deepEqual(
      new Set(removed),
      new Set(parts.filter((part) => part !== signature && part !== parts.at(-1))),
    );
    assert.equal(await world.holds(parts.at(-1) as string), false);
    for (const { digest } of [index, ...platforms]) assert.equal(await world.holds(digest), false);
    world.time += 8 * day;
    assert.deepEqual(await world.apply(untagged), [signature]);
    assert.deepEqual(await world.apply(untagged), []);
    for (const part of [...kept.parts, shared.digest]) assert.ok(await world.holds(part), part);
  });

  test(`${name}: a plan keeps the platform of an image that another index lists, beside several that it removes`, async (t) => {
    const world = await makeWorld(t, dialect);
    await world.push(shared);
    const indexes = ['a', 'b', 'kept'].map((tag) =>
      document(ociIndex, { manifests: tag === 'b' ? [] : [refer(shared)], annotations: { tag } }),
    );
    for (const index of indexes) await world.push(index);
    await world.push(indexes[2] as Content, 'kept');
    world.time += 8 * day;
    const planned = await world.apply(untagged, { remove: false });
    assert.deepEqual(new Set(planned), new Set(indexes.slice(0, 2).map(({ digest }) => digest)));
  });

  test(`${name}: a pull of one platform keeps an image without a tag, and a rule by last pull its tag`, async (t) => {
    const world = await makeWorld(t, dialect);
    const { index, platforms } = await pushImage(world, 'v1');
    world.time += 10 * day;
    await world.pull(platforms[1]!);
    world.time += 2 * day;
    const pulled: RetentionPolicy = { rules: [{ tags: '*', keep: { pulledWithin: 3 * day } }] };
    assert.deepEqual(await world.apply(pulled), []);
    world.time += 2 * day;
    assert.deepEqual(await world.apply(pulled, { terms: { pullsSince: world.time - day } }), []);
    assert.deepEqual(await world.apply(pulled), ['v1']);
    world.time += 3 * day;
    await world.pull(platforms[1]!);
    world.time += 6 * day;
    assert.deepEqual(await world.apply(untagged), []);
    world.time += 2 * day;
    // Earlier pulls, or losses of tags, may be unknown.
    assert.deepEqual(await world.apply(untagged, { terms: { pullsSince: world.time - day } }), []);
    assert.deepEqual(await world.apply(untagged, { terms: { movesSince: world.time - day } }), []);
    assert.equal((await world.apply(untagged))[0], index.digest);
  });

  test(`${name}: signatures are no tags of their own, and immutable tags and their images stay`, async (t) => {
    const world = await makeWorld(t, dialect, ['v1', '*.sig']);
    const images = [];
    for (const tag of ['v1', 'v2', 'v3']) {
      images.push(await pushImage(world, tag));
      world.time += day;
    }
    const all: RetentionPolicy = { ...untagged, rules: [{ tags: '*', keep: { newest: 1 } }] };
    assert.deepEqual(await world.apply(all), ['v2']);
    world.time += 30 * day;
    // The signature of v2 is immutable.
    for (const remove of [false, true]) assert.deepEqual(await world.apply(all, { remove }), []);
    for (const { parts } of images) for (const part of parts) assert.ok(await world.holds(part), part);
  });

  test(`${name}: records who removed a tag, by which rule of which policy`, async (t) => {
    const world = await makeWorld(t, dialect);
    for (const tag of ['v1', 'v2']) {
      await world.push(makeManifest(tag), tag);
      world.time += day;
    }
    assert.deepEqual(await world.apply(newestOne, { remove: false }), ['v1']);
    assert.ok(await world.holds('v1'));
    assert.deepEqual(await world.apply(newestOne), ['v1']);
    const repository = (await findRepository(world.database.read, repositoryName)) as number;
    const page = { before: Number.MAX_SAFE_INTEGER, limit: 1 };
    const [move] = await listTagMoves(world.database.read, repository, 'v1' as Tag, page);
    const [{ detail }] = (await world.database.read
      .selectFrom('changes')
      .select('detail')
      .where('id', '=', move!.id)
      .execute()) as [{ detail: string }];
    assert.deepEqual([move!.kind, move!.actor], ['tag.delete', 'retention']);
    assert.deepEqual(JSON.parse(detail), { policy: 'the registry', rules: [1] });
  });

  test(`${name}: keeps a tag that is pushed or pulled after it was judged`, async (t) => {
    const world = await makeWorld(t, dialect);
    const contents = [makeManifest('first'), makeManifest('second')] as const;
    await world.push(contents[0], 'v1');
    world.time += 10 * day;
    const pulled: RetentionPolicy = { rules: [{ tags: '*', keep: { pulledWithin: day } }] };
    const between = async (change: () => Promise<void>): Promise<string[]> => {
      const { transaction } = world.database;
      let isFirst = true;
      return world.apply(pulled, {
        database: {
          ...world.database,
          async transaction(work, options) {
            if (isFirst) await change();
            isFirst = false;
            return transaction(work, options);
          },
        },
      });
    };
    assert.deepEqual(await between(() => world.pull(contents[0])), []);
    world.time += 10 * day;
    assert.deepEqual(await between(() => world.push(contents[0], 'v1')), []);
    world.time += 10 * day;
    assert.deepEqual(await between(() => world.push(contents[1], 'v1')), []);
    world.time += 10 * day;
    assert.deepEqual(await between(() => world.push(contents[1], 'v2')), ['v1']);
    world.time += 10 * day;
    // Another repository gets the name.
    const rename = async (): Promise<void> => {
      const { transaction } = world.database;
      await transaction((db) => db.updateTable('repositories').set({ name: 'library/renamed' }).execute());
      await world.push(contents[1], 'v2');
    };
    assert.deepEqual(await between(rename), []);
    assert.ok(await world.holds('v2'));
  });

  test(`${name}: what it removed can be restored, and the trash is not judged`, async (t) => {
    const world = await makeWorld(t, dialect);
    const { parts, index } = await pushImage(world, 'v1');
    await world.pull(index);
    world.time += 10 * day;
    const old: RetentionPolicy = { ...untagged, rules: [{ tags: '*', keep: { pushedWithin: day } }] };
    assert.deepEqual(await world.apply(old), ['v1']);
    world.time += 10 * day;
    assert.equal((await world.apply(old))[0], index.digest);
    const { read } = world.database;
    const listed = await listRepositories(read, '', '', 10);
    assert.deepEqual(
      listed.map((repository) => repository.name),
      [repositoryName],
    );
    const database = { ...world.database, clock: () => world.time };
    const restoring = { database, by: system, immutableTags: [] };
    await restoreImage(restoring, repositoryName, parseReference('v1'));
    for (const part of ['v1', ...parts.slice(0, 5)]) assert.ok(await world.holds(part), part);
    const row = await findManifestByDigest(read, repositoryName, index.digest);
    assert.equal((await findOwnPulls(read, [row!.id])).get(row!.id), start);
    assert.deepEqual((await world.apply(old)).includes('v1'), false);
    world.time += 2 * day;
    assert.ok((await world.apply(old)).includes('v1'));
  });

  test(`${name}: an acknowledged push is never removed, wherever a removal is interrupted by it`, async (t) => {
    const world = await makeWorld(t, dialect);
    const all: RetentionPolicy = { ...untagged, rules: [{ tags: '*', keep: { pushedWithin: day } }] };
    const old = makeManifest('old');
    for (const [target, points, step] of [
      ['tag', 8, 1],
      ['manifest', 26, 2],
    ] as const) {
      for (let point = 0; point < points; point += step) {
        await world.push(old, ...(target === 'tag' ? ['v1'] : []));
        world.time += 10 * day;
        const paused = pauseAt(world.database, point);
        const applying = world.apply(all, { database: paused });
        await Promise.race([paused.reached, applying]);
        const pushing = world.push(old, 'v1');
        const pulling = world.pull(old).catch((error: unknown) => error);
        await Promise.race([Promise.all([pushing, pulling]), delay(5)]);
        paused.goOn();
        await Promise.all([applying, pushing, pulling]);
        assert.ok(await world.holds('v1'), `${target}, ${point}`);
        assert.ok(await world.holds(old.digest), `${target}, ${point}`);
        await world.manifests.delete(repositoryName, parseReference(old.digest), system);
      }
    }
  });
}

test('judges thousands of tags by expensive rules in short turns', async (t) => {
  const world = await makeWorld(t, dialects[0]!);
  const one = makeManifest('one');
  await world.push(one);
  await insertTags(world.database, { repository: repositoryName, digest: one.digest }, 5_000);
  const rules = Array.from({ length: 5 }, (_, at) => ({
    ...{ tags: `/^(.*${at}|.*a)*x?$/`, keep: { newest: 1_000, pulledWithin: day } },
  }));
  world.time += 10 * day;
  const longest = await longestTurnOf(() => world.apply({ ...untagged, rules }, { remove: false }));
  assert.ok(longest < 50, `${longest} ms`);
});
