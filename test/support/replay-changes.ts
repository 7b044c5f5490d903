import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Db } from '../../src/db/prepare.ts';
import { inspectSqlite } from '../../src/db/sqlite/inspect.ts';

/** The content of a registry, read from its tables or derived from its changes. */
interface Content {
  /** `repository:tag` → digest. */
  readonly tags: Map<string, string>;
  /** `repository@digest`. */
  readonly manifests: Set<string>;
  readonly blobs: Set<string>;
}

/**
 * Replays all recorded changes of a registry and asserts that they lead to its content. The old digest of each change has to be the
 * current one of its tag. So every change has its row, and every row its change.
 *
 * @param collected whether garbage was collected, which removes blobs without a row
 * @returns the ids of the requests that made changes
 */
export async function replayChanges(
  data: string,
  { collected = false }: { readonly collected?: boolean } = {},
): Promise<Set<string | null>> {
  await using opened = new AsyncDisposableStack();
  const database = await inspectSqlite(join(data, 'berth.db'));
  opened.defer(() => database.close());
  return await database.read.transaction().execute(async (db) => {
    const changes = await db.selectFrom('changes').selectAll().orderBy('id').execute();
    const replayed: Content = { tags: new Map(), manifests: new Set(), blobs: new Set() };
    for (const change of changes) replay(replayed, change);
    const held = await contentOf(db as Db);
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

const nameOf = ({ repository }: Change): string => repository ?? '';

interface Change {
  readonly id: number;
  readonly kind: string;
  readonly repository: string | null;
  readonly tag: string | null;
  readonly old_digest: string | null;
  readonly new_digest: string | null;
}

function replay({ tags, manifests, blobs }: Content, change: Change): void {
  const { id, kind, repository, tag, old_digest: before, new_digest: after } = change;
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
    default:
      assert.match(kind, /^(user|organisation)\.create$/, what);
  }
}

async function contentOf(db: Db): Promise<Content> {
  const tags = await db
    .selectFrom('tags')
    .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .innerJoin('repositories', 'repositories.id', 'tags.repository_id')
    .select(['repositories.name as repository', 'tags.name', 'manifests.digest'])
    .where('repositories.trashed_at', 'is', null)
    .execute();
  const [manifests, blobs] = await Promise.all(
    (['manifests', 'repository_blobs'] as const).map((table) =>
      db
        .selectFrom(table as 'manifests')
        .innerJoin('repositories', 'repositories.id', `${table as 'manifests'}.repository_id`)
        .select(['repositories.name', `${table as 'manifests'}.digest`])
        .where('repositories.trashed_at', 'is', null)
        .execute(),
    ),
  );
  const print = ({ name, digest }: { name: string; digest: string }) => `${name}@${digest}`;
  return {
    tags: new Map(tags.map(({ repository, name, digest }) => [`${repository}:${name}`, digest])),
    manifests: new Set(manifests?.map(print)),
    blobs: new Set(blobs?.map(print)),
  };
}

function sorted(entries: Iterable<string | readonly string[]>): string[] {
  return Array.from(entries, String).sort();
}
