// What must not change under a transaction, locked before it is looked at. SQLite has one writer and needs none of it. In
// this order, so that two never wait for each other: accounts, repository, tag names, blobs, manifests, tags.
import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import { inJsonList, isPostgres } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

const lockRepositoryRow = prepare((db, p: Params<{ id: number }>) =>
  db.selectFrom('repositories').select('id').where('id', '=', p('id')).forUpdate(),
);

/** For deleting a repository: from now on nothing comes to be in it. */
export async function lockRepository(db: Db, id: number): Promise<void> {
  if (isPostgres(db)) await lockRepositoryRow(db, { id });
}

const lockNames = prepare((db, p: Params<{ keys: string }>) =>
  db
    .selectFrom(
      // Sorted before any is locked: the outer query takes them in this order.
      sql<{ key: string }>`(
        select distinct hashtextextended(name, 0) as key
        from jsonb_array_elements_text(cast(${p('keys')} as jsonb)) as name
        order by key
      )`.as('names'),
    )
    .select(sql`pg_advisory_xact_lock(names.key)`.as('locked')),
);

/** Makes this the only transaction that moves or deletes these tags, whether they exist or not. */
export async function lockTags(db: Db, repository: number, tags: readonly Tag[]): Promise<void> {
  if (tags.length === 0 || !isPostgres(db)) return;
  await lockNames(db, { keys: JSON.stringify(tags.map((tag) => `berth:tag:${repository}:${tag}`)) });
}

const lockBlobRows = prepare((db, p: Params<{ digests: string }>) =>
  db
    .selectFrom('blobs')
    .select('digest')
    .where('digest', 'in', inJsonList(db, p('digests')))
    .orderBy('digest')
    .forNoKeyUpdate(),
);

/** Makes this the only transaction that decides anything about these blobs: who holds and needs them, and whether they go. */
export async function lockBlobs(db: Db, digests: Iterable<Digest>): Promise<void> {
  if (!isPostgres(db)) return;
  await lockBlobRows(db, { digests: JSON.stringify([...digests]) });
}

const lockBlobRowsShared = prepare((db, p: Params<{ digests: string }>) =>
  db
    .selectFrom('blobs')
    .select('digest')
    .where('digest', 'in', inJsonList(db, p('digests')))
    .orderBy('digest')
    .forShare(),
);

/** For who relies on the blobs and decides nothing about them: keeps out whoever locks them, and no other who relies on them. */
export async function lockBlobsShared(db: Db, digests: Iterable<Digest>): Promise<void> {
  if (!isPostgres(db)) return;
  await lockBlobRowsShared(db, { digests: JSON.stringify([...digests]) });
}

const lockManifestRow = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  db
    .selectFrom('manifests')
    .select('id')
    .where('repository_id', '=', p('repository'))
    .where('digest', '=', p('digest'))
    .forUpdate(),
);

const lockTagRows = prepare((db, p: Params<{ manifest: number }>) =>
  db.selectFrom('tags').select('name').where('manifest_id', '=', p('manifest')).orderBy('name').forUpdate(),
);

/** For deleting a manifest: from now on no tag comes to stand on it, and those that do cannot be moved. */
export async function lockManifest(db: Db, repository: number, digest: Digest): Promise<void> {
  if (!isPostgres(db)) return;
  const [row] = await lockManifestRow(db, { repository, digest });
  if (row !== undefined) await lockTagRows(db, { manifest: row.id });
}

const lockAll = prepare((db, p: Params<{ key: string }>) =>
  db.selectNoFrom(sql`pg_advisory_xact_lock(hashtextextended(${p('key')}, 0))`.as('locked')),
);

/** Makes this the only transaction that changes who there is and who is in which organisation and team. It comes before all others. */
export async function lockAccounts(db: Db): Promise<void> {
  if (isPostgres(db)) await lockAll(db, { key: 'berth:accounts' });
}
