import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Db } from '../../src/db/prepare.ts';
import { inspectSqlite } from '../../src/db/sqlite/inspect.ts';

/** The content of a registry, read from its tables or derived from its changes; repositories by row id. */
interface Content {
  /** Names of repositories that were renamed, deleted or restored. */
  readonly names: Map<string, string | undefined>;
  /** `repository:tag` → digest. */
  readonly tags: Map<string, string>;
  /** `repository@digest`. */
  readonly manifests: Set<string>;
  readonly blobs: Set<string>;
}

/** The content of a registry at a time, with the id of its last change. */
export interface Snapshot {
  readonly content: Content;
  readonly change: number;
}

/** Adoption records its changes only as numbers, so a replay begins after it. */
export async function takeSnapshot(data: string): Promise<Snapshot> {
  return reading(data, async (db) => {
    const last = await db.selectFrom('changes').select('id').orderBy('id', 'desc').limit(1).execute();
    return { content: await contentOf(db), change: last[0]?.id ?? 0 };
  });
}

async function reading<T>(data: string, work: (db: Db) => Promise<T>): Promise<T> {
  await using opened = new AsyncDisposableStack();
  const database = await inspectSqlite(join(data, 'berth.db'));
  opened.defer(() => database.close());
  return await database.read.transaction().execute((db) => work(db as Db));
}

/**
 * Replays all recorded changes of a registry and asserts that they lead to its content. The old digest of each change has to be the
 * current one of its tag. So every change has its row, and every row its change.
 *
 * @param collected whether garbage was collected, which removes blobs without a row
 * @param from where the replay begins, instead of at an empty registry
 * @returns the ids of the requests that made changes
 */
export async function replayChanges(
  data: string,
  { collected = false, from = nothing }: { readonly collected?: boolean; readonly from?: Snapshot } = {},
): Promise<Set<string | null>> {
  return reading(data, async (db) => {
    const changes = await db
      .selectFrom('changes')
      .selectAll()
      .where('id', '>', from.change)
      .orderBy('id')
      .execute();
    const { content } = from;
    const replayed: Content = {
      ...{ names: new Map(), tags: new Map(content.tags) },
      ...{ manifests: new Set(content.manifests), blobs: new Set(content.blobs) },
    };
    for (const change of changes) replay(replayed, change);
    const held = await contentOf(db);
    for (const [id, name] of replayed.names) {
      assert.equal(held.names.get(id), name, `the name of repository ${id}`);
      if (name === undefined) forget(replayed, id);
    }
    assert.deepEqual(sorted(replayed.tags), sorted(held.tags));
    assert.deepEqual(sorted(replayed.manifests), sorted(held.manifests));
    // A restored manifest brings its blobs back, even those that a client has deleted meanwhile.
    const restored = new Set(changes.filter(({ kind }) => kind === 'manifest.restore').map(nameOf));
    for (const blob of held.blobs) if (restored.has(blob.split('@', 1)[0] ?? '')) replayed.blobs.add(blob);
    if (collected) for (const blob of replayed.blobs) if (!held.blobs.has(blob)) replayed.blobs.delete(blob);
    assert.deepEqual(sorted(replayed.blobs), sorted(held.blobs));
    return new Set(changes.map(({ request_id }) => request_id));
  });
}

const nothing: Snapshot = {
  content: { names: new Map(), tags: new Map(), manifests: new Set(), blobs: new Set() },
  change: 0,
};

const nameOf = ({ repository_id: id }: Pick<Change, 'repository_id'>): string => `${id ?? ''}`;

/** Forgets what a deleted repository held. */
function forget({ tags, manifests, blobs }: Content, id: string): void {
  for (const key of tags.keys()) if (key.startsWith(`${id}:`)) tags.delete(key);
  for (const some of [manifests, blobs])
    for (const key of some) if (key.startsWith(`${id}@`)) some.delete(key);
}

interface Change {
  readonly id: number;
  readonly kind: string;
  readonly repository: string | null;
  readonly repository_id: number | null;
  readonly tag: string | null;
  readonly old_digest: string | null;
  readonly new_digest: string | null;
}

function replay({ names, tags, manifests, blobs }: Content, change: Change): void {
  const { id, kind, tag, old_digest: before, new_digest: after } = change;
  const repository = nameOf(change);
  const what = `change ${id}, ${kind}`;
  const name = `${repository}:${tag}`;
  if (tag !== null) assert.equal(before, tags.get(name) ?? null, what);
  switch (kind) {
    case 'manifest.restore':
      manifests.add(`${repository}@${after}`);
      return;
    case 'tag.restore':
      tags.set(name, after as string);
      return;
    case 'manifest.push':
      manifests.add(`${repository}@${after}`);
      if (tag !== null) tags.set(name, after as string);
      return;
    case 'tag.delete':
      assert.ok(tags.delete(name), what);
      return;
    case 'manifest.delete':
      assert.ok(manifests.delete(`${repository}@${before}`), what);
      return;
    case 'blob.push':
    case 'blob.mount':
      blobs.add(`${repository}@${after}`);
      return;
    case 'blob.delete':
      assert.ok(blobs.delete(`${repository}@${before}`), what);
      return;
    case 'blob.damaged':
    case 'blob.healed':
      return;
    case 'repository.rename':
    case 'repository.restore':
      names.set(repository, change.repository as string);
      return;
    case 'repository.delete':
      names.set(repository, undefined);
      return;
    default:
      assert.match(kind, /^((user|organisation)\.create|quota\..+|retention\..+|trash\.empty)$/, what);
  }
}

async function contentOf(db: Db): Promise<Content> {
  const tags = await db
    .selectFrom('tags')
    .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .innerJoin('repositories', 'repositories.id', 'tags.repository_id')
    .select(['repositories.id as repository', 'tags.name', 'manifests.digest'])
    .where('repositories.trashed_at', 'is', null)
    .execute();
  const [manifests, blobs] = await Promise.all(
    (['manifests', 'repository_blobs'] as const).map((table) =>
      db
        .selectFrom(table as 'manifests')
        .innerJoin('repositories', 'repositories.id', `${table as 'manifests'}.repository_id`)
        .select(['repositories.id', `${table as 'manifests'}.digest`])
        .where('repositories.trashed_at', 'is', null)
        .execute(),
    ),
  );
  const print = ({ id, digest }: { id: number; digest: string }) => `${id}@${digest}`;
  const names = await db
    .selectFrom('repositories')
    .select(['id', 'name'])
    .where('trashed_at', 'is', null)
    .execute();
  return {
    names: new Map(names.map(({ id, name }) => [`${id}`, name])),
    tags: new Map(tags.map(({ repository, name, digest }) => [`${repository}:${name}`, digest])),
    manifests: new Set(manifests?.map(print)),
    blobs: new Set(blobs?.map(print)),
  };
}

function sorted(entries: Iterable<string | readonly string[]>): string[] {
  return Array.from(entries, String).sort();
}
