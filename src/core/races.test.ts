// Two concurrent requests on two replicas. In each run the first request pauses before a different statement, and the second runs
// until it ends or waits for a lock. The outcome must equal that of one request after the other.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { dialects, openReplica } from '../../test/support/databases.ts';
import { type PausedDatabase, pauseAt } from '../../test/support/paused-database.ts';
import { openMigratedPostgres } from '../../test/support/postgres.ts';
import { decideDeletions } from '../db/blob-deletions.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { parkBlob } from '../db/parked-blobs.ts';
import type { Db } from '../db/prepare.ts';
import { findOrCreateRepository, findRepository } from '../db/repositories.ts';
import { findNamed } from '../db/repository-names.ts';
import { insertUpload, leaseUpload } from '../db/uploads.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseName } from '../oci/name.ts';
import { parseTag, type Reference } from '../oci/reference.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { Blobs } from './blobs.ts';
import { copyImage } from './copy-image.ts';
import { deleteRepository, trashRepository } from './delete-repository.ts';
import { emptyTrash } from './empty-trash.ts';
import { type Conditions, Manifests, type MissingReferences, type PushRights } from './manifests.ts';
import { findOrCreatePushed } from './pushed-repository.ts';
import { noQuotas } from './quotas.ts';
import { decideUnheld, removeUnneededBlobs } from './reclaim.ts';
import { renameRepository } from './rename-repository.ts';
import { restoreImage, restoreRepository } from './restore-trash.ts';
import { digestBytes } from './running-hash.ts';
import { rollBackTag } from './tag-history.ts';

/** Repositories and contents of each run, named by labels. */
class World {
  readonly #run = randomBytes(6).toString('hex');
  readonly #labels = new Map<string, string>();
  /** The store only sees commits; only rows are compared. */
  readonly #store = { commit: async () => {} } as unknown as BlobStore;
  time = 1_000;

  repository(label: string) {
    const name = parseName(`${this.#run}/${label}`);
    this.#labels.set(name, label);
    return name;
  }

  blob(label: string): Digest {
    const digest = digestBytes('sha256', Buffer.from(`${this.#run} ${label}`));
    this.#labels.set(digest, label);
    return digest;
  }

  /** An image that needs `blobs`, or an index of `children`. */
  manifest(label: string, { blobs = [], children = [] }: { blobs?: Digest[]; children?: Digest[] } = {}) {
    const mediaType = `application/vnd.oci.image.${children.length > 0 ? 'index' : 'manifest'}.v1+json`;
    const descriptors = (digests: Digest[]) =>
      digests.map((digest) => ({ mediaType: 'a/b', digest, size: 1 }));
    const content =
      children.length > 0
        ? { manifests: descriptors(children) }
        : { config: descriptors([this.blob('config')])[0], layers: descriptors(blobs) };
    const annotations = { run: this.#run, label };
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, annotations, ...content }));
    const digest = digestBytes('sha256', bytes);
    this.#labels.set(digest, label);
    return { digest, bytes, contentType: mediaType };
  }

  blobs(database: Database): Blobs {
    return new Blobs({ database, store: this.#store, clock: () => this.time });
  }

  manifests(database: Database, missingReferences: MissingReferences = 'all', trash = false): Manifests {
    return new Manifests({ database, clock: () => this.time, missingReferences, immutableTags: [], trash });
  }

  /** Pushes a blob like the last request of an upload. */
  async push(database: Database, repository: string, label: string): Promise<void> {
    const upload = await this.openUpload(database, repository);
    await this.blobs(database).commit({ ...upload, size: 1, staged: '' }, this.blob(label), { by: system });
  }

  async openUpload(database: Database, repository: string) {
    const id = crypto.randomUUID();
    const writer = 'w';
    const name = this.repository(repository);
    return database.transaction(async (db) => {
      const row = await findOrCreateRepository(db, name, 1);
      await insertUpload(
        db,
        { id, repository: row, algorithm: 'sha256', digest: this.blob('empty'), owner: '' },
        1,
      );
      await leaseUpload(db, id, { writer, before: null, until: 9, now: 1 });
      return { id, writer, repository: row, name, owner: '' };
    });
  }

  put(
    database: Database,
    reference: string | Digest,
    manifest: { bytes: Buffer; contentType: string },
    options: {
      conditions?: Conditions;
      missing?: MissingReferences;
      tags?: string[];
      rights?: PushRights;
    } = {},
  ): Promise<unknown> {
    const { conditions = {}, missing, tags = [], rights = { mayCreate: true, mayUpdate: true } } = options;
    const push = { ...manifest, tags: tags.map(parseTag), conditions, rights, by: system };
    return this.manifests(database, missing).put(this.repository('one'), asReference(reference), push);
  }

  delete(database: Database, reference: string | Digest, conditions: Conditions = {}): Promise<void> {
    return this.manifests(database).delete(
      this.repository('one'),
      asReference(reference),
      system,
      conditions,
    );
  }

  /** {@link delete} into the trash. */
  trash(database: Database, reference: string | Digest): Promise<void> {
    const manifests = this.manifests(database, 'all', true);
    return manifests.delete(this.repository('one'), asReference(reference), system);
  }

  /** All rows of this run, as labels. */
  async state({ read }: Database): Promise<string[]> {
    const { rows } = await sql<{ line: string }>`
      select 'tag ' || r.name || ' ' || t.name || ' ' || m.digest as line from tags t
        join repositories r on r.id = t.repository_id join manifests m on m.id = t.manifest_id
      union all select 'manifest ' || r.name || ' ' || m.digest from manifests m
        join repositories r on r.id = m.repository_id
      union all select 'needs ' || r.name || ' ' || m.digest || ' ' || f.kind || ' ' || f.digest
        from manifest_references f join manifests m on m.id = f.manifest_id
        join repositories r on r.id = m.repository_id
      union all select 'holds ' || r.name || ' ' || b.digest from repository_blobs b
        join repositories r on r.id = b.repository_id
      union all select 'trash ' || r.name || ' ' || t.kind || ' ' || coalesce(t.tag, '') || ' ' || coalesce(t.digest, '')
        from trash t join repositories r on r.id = t.repository_id
      union all select 'repository ' || name from repositories where trash_of is null
      union all select 'blob ' || digest || ' ' || state || ' ' || generation from blobs
      union all select 'alias ' || a.name || ' ' || r.name from repository_aliases a
        join repositories r on r.id = a.repository_id
    `.execute(read);
    const lines = [];
    for (let { line } of rows) {
      let ours = false;
      for (const [text, label] of this.#labels) {
        ours ||= line.includes(text);
        line = line.replaceAll(text, label);
      }
      // The ids in the names of hidden repositories differ.
      if (ours) lines.push(line.replace(/@(trash-)?\d+/, '@$1ID'));
    }
    return lines.sort();
  }
}

function asReference(text: string): Reference {
  return text.startsWith('sha256:')
    ? { kind: 'digest', digest: text as Digest }
    : { kind: 'tag', tag: parseTag(text) };
}

type Request = (world: World, database: Database) => Promise<unknown>;

interface Race {
  before?: Request;
  requests: readonly [Request, Request];
}

const push: Request = (world, database) => world.push(database, 'one', 'blob');
const letGo: Request = (world, database) =>
  world.blobs(database).delete(world.repository('one'), world.blob('blob'), system);
const pushAndLetGo: Request = async (world, database) => {
  await push(world, database);
  await letGo(world, database);
};
const fence =
  (reviewedBefore: number): Request =>
  (world, database) =>
    database.transaction((db) =>
      decideDeletions(db, [world.blob('blob')], { reviewed: reviewedBefore, parked: reviewedBefore }),
    );
/** Reviews the blobs that were pushed before, but not those that `later` requests push or mount. */
const review: Request = async (_world, database) => {
  const decide = <T>(work: (db: Db) => Promise<T>) => database.transaction(work);
  for await (const _ of removeUnneededBlobs(database.read, decide, 2_500));
  for await (const _ of decideUnheld(database.read, decide, { reviewed: 2_500, parked: 2_500 }));
};
const mount: Request = (world, database) =>
  world
    .blobs(database)
    .mount(world.repository('two'), world.blob('blob'), world.repository('one'), () => true, { by: system });
const mountBack: Request = (world, database) =>
  world
    .blobs(database)
    .mount(world.repository('one'), world.blob('blob'), world.repository('two'), () => true, { by: system });
const image = (world: World) => world.manifest('image', { blobs: [world.blob('blob')] });
const tagTo =
  (label: string, conditions: (world: World) => Conditions = () => ({}), tag = 'v1'): Request =>
  (world, database) =>
    world.put(database, tag, world.manifest(label), { conditions: conditions(world) });
/** Pushes the blobs that {@link image} needs. */
const pushBlobs: Request = async (world, database) => {
  await push(world, database);
  await world.push(database, 'one', 'config');
};
const pushImage: Request = (world, database) =>
  world.put(database, 'v1', image(world), { missing: 'children' });
const deleteDigest =
  (label: string, conditions: Conditions = {}): Request =>
  (world, database) =>
    world.delete(database, world.manifest(label).digest, conditions);
const each =
  (...requests: Request[]): Request =>
  async (world, database) => {
    for (const request of requests) await request(world, database);
  };
/** Advances the clock before the request, so that the request postpones the review of a blob. */
const later =
  (request: Request): Request =>
  (world, database) => {
    world.time = 3_000;
    return request(world, database);
  };
const rollBack: Request = (world, database) =>
  rollBackTag(database, system, [], world.repository('one'), parseTag('v1'), {});
const trashDigest =
  (label: string): Request =>
  (world, database) =>
    world.trash(database, world.manifest(label).digest);
const trashImage: Request = (world, database) => world.trash(database, image(world).digest);
const restore =
  (reference: (world: World) => string): Request =>
  (world, database) =>
    restoreImage(
      { database: { ...database, clock: () => world.time }, by: system, immutableTags: [] },
      world.repository('one'),
      asReference(reference(world)),
    );
const restoreTag = restore(() => 'v1');
const empty: Request = (world, database) =>
  emptyTrash({ ...database, clock: () => world.time }, { before: 2_000, name: world.repository('one') });
const trashAll: Request = async (world, database) => {
  const name = world.repository('one');
  await database.transaction(async (db) => {
    const repository = await findRepository(db, name);
    if (repository === undefined) throw new RegistryError('NAME_UNKNOWN');
    const deleted = await trashRepository(db, { repository, name, by: system, now: world.time });
    if (!deleted) throw new RegistryError('NAME_UNKNOWN');
  });
};
const restoreAll: Request = (world, database) =>
  restoreRepository(
    { database: { ...database, clock: () => world.time }, by: system },
    world.repository('one'),
    world.repository('one'),
  );
/** Copies tag v1 of repository one to tag v1 of repository two. */
const copy: Request = (world, database) => {
  return copyImage(
    { database, clock: () => world.time, manifests: world.manifests(database, 'none'), immutableTags: [] },
    {
      from: { name: world.repository('one'), reference: asReference('v1') },
      to: { name: world.repository('two'), tag: parseTag('v1') },
      ...{ referrers: true, mayPull: () => true, rights: { mayCreate: true, mayUpdate: true }, by: system },
    },
  );
};
/** Pushes an image as the API does: first finds the repository, by its name or by an alias, then stores the image there. */
const pushByName: Request = async (world, database) => {
  const one = world.repository('one');
  const found = await findNamed(database.read, one, world.time);
  const rights = { mayCreate: true, mayUpdate: true };
  const push = {
    ...world.manifest('a'),
    tags: [],
    conditions: {},
    rights,
    by: system,
    repository: found?.id,
  };
  return world.manifests(database).put(found?.name ?? one, asReference('v1'), push);
};
/** Starts an upload, in the same way. */
const startByName: Request = async (world, database) => {
  const one = world.repository('one');
  const found = await findNamed(database.read, one, world.time);
  return database.transaction(async (db) => {
    await findOrCreatePushed(db, noQuotas, found?.name ?? one, found?.id, 1);
  });
};
const renameTo =
  (label: string): Request =>
  (world, database) =>
    database.transaction(async (db) => {
      const [from, to] = [world.repository('one'), world.repository(label)];
      const id = await findRepository(db, from);
      if (id === undefined || (await findRepository(db, to)) !== undefined) return false;
      return renameRepository(
        db,
        { id, from, to, aliasFor: 1e9, unlessImmutable: [], quotas: noQuotas },
        world.time,
      );
    });
const absent = () => ({ ifNoneMatch: '*' }) as const;
const at = (label: string) => (world: World) => ({ ifMatch: [world.manifest(label).digest] });

const races: Record<string, Race> = {
  'a blob is pushed again while its deletion is decided': {
    before: pushAndLetGo,
    requests: [push, fence(1e9)],
  },
  'a blob is pushed while it is parked': {
    requests: [
      push,
      (world, database) =>
        database.transaction((db) => parkBlob(db, { digest: world.blob('blob'), size: 4, generation: 0 }, 1)),
    ],
  },
  'a blob is pushed twice': { requests: [push, push] },
  'a blob is mounted while it is deleted from its source': { before: push, requests: [mount, letGo] },
  'a blob is mounted while it is deleted from its source and its deletion is decided': {
    before: push,
    requests: [mount, each(letGo, fence(1e9))],
  },
  'a blob is deleted while a manifest that needs it is pushed': {
    before: pushBlobs,
    requests: [letGo, pushImage],
  },
  'a manifest that needs an unheld blob is pushed while the deletion of the blob is decided': {
    before: pushAndLetGo,
    requests: [later((world, database) => world.put(database, 'v1', image(world))), fence(2_000)],
  },
  'a manifest that needs a blob is pushed while the blob is reviewed': {
    before: pushBlobs,
    requests: [pushImage, review],
  },
  'a blob is mounted while it is reviewed in its source': { before: push, requests: [later(mount), review] },
  'a blob is mounted into the repository in which it is reviewed': {
    before: each(push, mount),
    requests: [later(mountBack), review],
  },
  'a blob is pushed again while it is reviewed': { before: push, requests: [later(push), review] },
  'a blob is reviewed twice': { before: push, requests: [review, review] },
  'a manifest is deleted while a blob that it needed is reviewed': {
    before: each(push, (world, database) => world.put(database, 'v1', image(world))),
    requests: [(world, database) => world.delete(database, image(world).digest), review],
  },
  'two manifests with the same blobs are deleted': {
    before: each(
      push,
      (world, database) => world.put(database, 'v1', image(world)),
      (world, database) =>
        world.put(database, 'v2', world.manifest('other', { blobs: [world.blob('blob')] })),
    ),
    requests: [
      (world, database) => world.delete(database, image(world).digest),
      (world, database) =>
        world.delete(database, world.manifest('other', { blobs: [world.blob('blob')] }).digest),
    ],
  },
  'two requests create a tag on condition that it is new': {
    requests: [tagTo('a', absent), tagTo('b', absent)],
  },
  'two requests move a tag on condition of its old digest': {
    before: tagTo('old'),
    requests: [tagTo('a', at('old')), tagTo('b', at('old'))],
  },
  'a tag is deleted on condition of its old digest, and moved': {
    before: tagTo('old'),
    requests: [(world, database) => world.delete(database, 'v1', at('old')(world)), tagTo('a')],
  },
  'a tag is deleted twice': {
    before: tagTo('old'),
    requests: [
      (world, database) => world.delete(database, 'v1'),
      (world, database) => world.delete(database, 'v1'),
    ],
  },
  'a tag is set on a manifest, and the manifest deleted': {
    before: tagTo('a', undefined, 'other'),
    requests: [tagTo('a'), deleteDigest('a')],
  },
  'a tag is moved off a manifest, and the manifest deleted': {
    before: tagTo('old'),
    requests: [tagTo('a', at('old')), deleteDigest('old')],
  },
  'a manifest is pushed twice, under two tags': { requests: [tagTo('a'), tagTo('a', undefined, 'v2')] },
  'a manifest is deleted twice': { before: tagTo('a'), requests: [deleteDigest('a'), deleteDigest('a')] },
  'a manifest is deleted twice, on condition': {
    before: tagTo('a'),
    requests: [deleteDigest('a', { ifMatch: '*' }), deleteDigest('a', { ifMatch: '*' })],
  },
  'a manifest is pushed by digest twice on condition that it is new': {
    requests: [0, 1].map(
      () => (world: World, database: Database) =>
        world.put(database, world.manifest('a').digest, world.manifest('a'), { conditions: absent() }),
    ) as unknown as [Request, Request],
  },
  'a manifest is pushed on condition that it exists, and deleted': {
    before: tagTo('a'),
    requests: [
      (world, database) =>
        world.put(database, world.manifest('a').digest, world.manifest('a'), {
          conditions: { ifMatch: '*' },
        }),
      deleteDigest('a'),
    ],
  },
  'an index whose children must exist is pushed, and a child deleted': {
    before: tagTo('child', undefined, 'other'),
    requests: [
      (world, database) => {
        const index = world.manifest('index', { children: [world.manifest('child').digest] });
        return world.put(database, 'v1', index, { missing: 'none' });
      },
      deleteDigest('child'),
    ],
  },
  'several tags are moved at once, in two orders': {
    before: tagTo('old'),
    requests: [
      (world, database) =>
        world.put(database, world.manifest('a').digest, world.manifest('a'), { tags: ['v1', 'v2', 'v3'] }),
      (world, database) =>
        world.put(database, world.manifest('b').digest, world.manifest('b'), { tags: ['v3', 'v2', 'v1'] }),
    ],
  },
  'several tags are moved off a manifest, and the manifest deleted': {
    before: (world, database) =>
      world.put(database, world.manifest('a').digest, world.manifest('a'), { tags: ['v3', 'v1', 'v2'] }),
    requests: [
      (world, database) =>
        world.put(database, world.manifest('b').digest, world.manifest('b'), { tags: ['v2', 'v3', 'v1'] }),
      deleteDigest('a'),
    ],
  },
  'a tag is rolled back and moved': {
    before: each(tagTo('old'), tagTo('a')),
    requests: [rollBack, tagTo('b')],
  },
  'a tag is rolled back twice': {
    before: each(tagTo('old'), tagTo('a')),
    requests: [rollBack, rollBack],
  },
  'a tag is rolled back to a manifest, and the manifest deleted': {
    before: each(tagTo('old'), tagTo('a')),
    requests: [rollBack, deleteDigest('old')],
  },
  'an image is copied while its manifest is deleted': {
    before: each(pushBlobs, pushImage),
    requests: [copy, (world, database) => world.delete(database, image(world).digest)],
  },
  'an image is copied while a blob is deleted from its source and the deletion of the blob is decided': {
    before: each(pushBlobs, pushImage),
    requests: [
      copy,
      each((world, database) => world.delete(database, image(world).digest), letGo, fence(1e9)),
    ],
  },
  'an image is copied twice': { before: each(pushBlobs, pushImage), requests: [copy, copy] },
  'a manifest is deleted into the trash, and pushed again': {
    before: each(pushBlobs, pushImage),
    requests: [trashImage, pushImage],
  },
  'a manifest is deleted into the trash while a blob that it needs is reviewed': {
    before: each(pushBlobs, pushImage),
    requests: [trashImage, each(review, fence(1e9))],
  },
  'an index is pushed, and its child is deleted into the trash': {
    before: tagTo('child', undefined, 'other'),
    requests: [
      (world, database) => {
        const index = world.manifest('index', { children: [world.manifest('child').digest] });
        return world.put(database, 'v1', index, { missing: 'none' });
      },
      trashDigest('child'),
    ],
  },
  'a tag is restored, and pushed': {
    before: each(tagTo('old'), (world, database) => world.trash(database, 'v1')),
    requests: [restoreTag, tagTo('a')],
  },
  'a manifest is restored, and pushed again': {
    before: each(pushBlobs, pushImage, trashImage),
    requests: [restoreTag, pushImage],
  },
  'a manifest is restored, and deleted for good': {
    before: each(pushBlobs, pushImage, trashImage),
    requests: [restore((world) => image(world).digest), empty],
  },
  'a repository is deleted into the trash, and pushed to': {
    before: tagTo('a'),
    requests: [trashAll, tagTo('b')],
  },
  'a repository is restored, and its name is pushed to': {
    before: each(tagTo('a'), trashAll),
    requests: [restoreAll, tagTo('b')],
  },
  'a repository is restored, and deleted for good': {
    before: each(tagTo('a'), trashDigest('a'), tagTo('b'), trashAll),
    requests: [restoreAll, empty],
  },
  'an image is pushed under the former name of a repository that is renamed': {
    before: tagTo('old'),
    requests: [pushByName, renameTo('renamed')],
  },
  'an upload is started under the former name of a repository that is renamed': {
    before: tagTo('old'),
    requests: [startByName, renameTo('renamed')],
  },
  'a repository is renamed while another one is made with the new name': {
    before: tagTo('old'),
    requests: [
      renameTo('two'),
      (world, database) =>
        database.transaction(
          async (db) => void (await findOrCreateRepository(db, world.repository('two'), 1)),
        ),
    ],
  },
  'a repository is renamed twice': { before: tagTo('old'), requests: [renameTo('two'), renameTo('three')] },
  'a repository is renamed while it is deleted': {
    before: tagTo('old'),
    requests: [
      renameTo('two'),
      async (world, database) =>
        database.transaction(async (db) => {
          const id = (await findNamed(db, world.repository('one'), 1))?.id;
          return id !== undefined && deleteRepository(db, id, 1);
        }),
    ],
  },
  'two manifests that need the same blobs in different orders are pushed': {
    before: each(push, (world, database) => world.push(database, 'one', 'second')),
    requests: [
      (world, database) =>
        world.put(database, 'v1', world.manifest('a', { blobs: [world.blob('blob'), world.blob('second')] })),
      (world, database) =>
        world.put(database, 'v2', world.manifest('b', { blobs: [world.blob('second'), world.blob('blob')] })),
    ],
  },
};

/** The result of a request, or its error code. */
async function outcome(request: Promise<unknown>): Promise<string> {
  try {
    const result = await request;
    return typeof result === 'boolean' ? String(result) : 'done';
  } catch (error) {
    if (error instanceof RegistryError) return error.code;
    throw error;
  }
}

interface Ended {
  readonly first: string;
  readonly second: string;
  readonly state: readonly string[];
}

/** The outcomes of both orders, and those with one request UNAVAILABLE: the client must repeat a push of a blob being deleted. */
async function acceptable(database: Database, { before, requests: [a, b] }: Race): Promise<Ended[]> {
  const run = async (steps: (world: World) => Promise<{ first: string; second: string }>): Promise<Ended> => {
    const world = new World();
    await before?.(world, database);
    return { ...(await steps(world)), state: await world.state(database) };
  };
  return [
    await run(async (world) => ({
      first: await outcome(a(world, database)),
      second: await outcome(b(world, database)),
    })),
    await run(async (world) => {
      const second = await outcome(b(world, database));
      return { first: await outcome(a(world, database)), second };
    }),
    await run(async (world) => ({ first: 'UNAVAILABLE', second: await outcome(b(world, database)) })),
    await run(async (world) => ({ first: await outcome(a(world, database)), second: 'UNAVAILABLE' })),
  ];
}

/** Waits until `request` has ended or waits for a lock. */
async function untilStill(database: Database, request: Promise<unknown>): Promise<void> {
  let ended = false;
  const end = () => {
    ended = true;
  };
  request.then(end, end);
  for (;;) {
    if (ended) return;
    const { rows } = await sql`
      select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    `.execute(database.read);
    if (rows.length > 0) return;
    await delay(1);
  }
}

/** Pauses `a` before its statement `point` until `b` has ended or waits for `a`. `undefined` if `a` has fewer statements. */
async function runInterleaved(
  one: Database,
  two: PausedDatabase,
  { before, requests: [a, b] }: Race,
  point: number,
): Promise<Ended | undefined> {
  const world = new World();
  await before?.(world, one);
  const paused = pauseAt(one, point);
  const first = outcome(a(world, paused));
  const isPaused = await Promise.race([paused.reached.then(() => true), first.then(() => false)]);
  if (!isPaused) return undefined;
  const second = outcome(b(world, two));
  await untilStill(one, second);
  paused.goOn();
  const ended = { first: await first, second: await second, state: await world.state(one) };
  const deadlocks = [...paused.failures, ...two.failures].filter((code) => code === '40P01');
  assert.deepEqual(deadlocks, [], 'two transactions waited for each other');
  return ended;
}

const postgres = dialects.some((dialect) => dialect.name === 'PostgreSQL');

async function replicas(t: TestContext): Promise<[Database, Database]> {
  const url = await openMigratedPostgres(t);
  return [await openReplica(t, url), await openReplica(t, url)];
}

for (const [what, race] of Object.entries(postgres ? races : {})) {
  test(`concurrent requests: ${what}`, async (t) => {
    const [one, two] = await replicas(t);
    const [a, b] = race.requests;
    for (const { requests, name } of [
      { requests: [a, b], name: 'the first pauses' },
      { requests: [b, a], name: 'the second pauses' },
    ] as const) {
      const turned: Race = { ...race, requests };
      const expected = await acceptable(one, turned);
      let points = 0;
      for (; ; points++) {
        const ended = await runInterleaved(one, pauseAt(two, Number.POSITIVE_INFINITY), turned, points);
        if (ended === undefined) break;
        const found = expected.some((each) => JSON.stringify(each) === JSON.stringify(ended));
        if (!found) assert.deepEqual(ended, expected, `${name} before statement ${points}`);
      }
      assert.ok(points >= 2, `${name}: ${points} points`);
    }
  });
}

if (postgres) {
  test('concurrent requests: a hundred move one tag among ten manifests, and all succeed', async (t) => {
    const both = await replicas(t);
    const world = new World();
    const observed = both.map((database) => pauseAt(database, Number.POSITIVE_INFINITY));
    const moves = Array.from({ length: 100 }, (_, i) =>
      world.put(observed[i % 2] as Database, 'v1', world.manifest(`m${i % 10}`)),
    );
    await Promise.all(moves);
    const failures = observed.flatMap((database) => database.failures);
    assert.ok(!failures.includes('40P01'), 'transactions waited for each other');
    const state = await world.state(both[0]);
    assert.equal(state.filter((line) => line.startsWith('tag ')).length, 1);
    assert.equal(state.filter((line) => line.startsWith('manifest ')).length, 10);
  });
}
