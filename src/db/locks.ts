// Locks on rows that must not change during a transaction, which takes them before it reads the rows. SQLite has one writer and
// needs none. To avoid deadlocks every transaction takes them in this order: accounts, repository, tag rules, tag names,
// blobs, manifests, tags, quotas.
import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { namespaceOf, type RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { inJsonList, isPostgres } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

const lockRepositoryRow = prepare((db, p: Params<{ id: number }>) =>
  db.selectFrom('repositories').select('id').where('id', '=', p('id')).forUpdate(),
);

/** For deleting a repository: prevents others from adding anything to it. */
export async function lockRepository(db: Db, id: number): Promise<void> {
  if (isPostgres(db)) await lockRepositoryRow(db, { id });
}

const tagRulesKey = 'berth:tag-rules';

const lockNames = prepare((db, p: Params<{ keys: string }>) =>
  db
    .selectFrom(
      // Sorted, so that the outer query locks them in this order: first the tag rules, then the names.
      sql<{ key: string; shared: boolean }>`(
        select hashtextextended(${sql.lit(tagRulesKey)}, 0) as key, true as shared
        union all
        select distinct hashtextextended(name, 0), false
        from jsonb_array_elements_text(cast(${p('keys')} as jsonb)) as name
        order by shared desc, key
      )`.as('names'),
    )
    .select(
      sql`case when names.shared then pg_advisory_xact_lock_shared(names.key) else pg_advisory_xact_lock(names.key) end`.as(
        'locked',
      ),
    ),
);

/** Locks the tags, existing or not, against being moved or deleted by other transactions, and the tag rules against changes. */
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

/** Locks the blobs exclusively: only this transaction may change their links and references, or decide to delete them. */
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

/** Locks the blobs shared, for transactions that depend on them: blocks {@link lockBlobs}, but not other shared locks. */
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

/** For deleting a manifest: prevents new tags on it, and moves of its tags. */
export async function lockManifest(db: Db, repository: number, digest: Digest): Promise<void> {
  if (!isPostgres(db)) return;
  const [row] = await lockManifestRow(db, { repository, digest });
  if (row !== undefined) await lockTagRows(db, { manifest: row.id });
}

const lockKey = prepare((db, p: Params<{ key: string }>) =>
  db.selectNoFrom(sql`pg_advisory_xact_lock(hashtextextended(${p('key')}, 0))`.as('locked')),
);

/** Locks accounts, memberships and teams against changes by other transactions. Taken before all other locks. */
export async function lockAccounts(db: Db): Promise<void> {
  if (isPostgres(db)) await lockKey(db, { key: 'berth:accounts' });
}

/** Locks the quotas of the namespace and its repositories, for a transaction that adds something. Taken after all other locks. */
export async function lockQuotas(db: Db, name: RepositoryName): Promise<void> {
  if (isPostgres(db)) await lockKey(db, { key: `berth:quotas:${namespaceOf(name) ?? name}` });
}

/** Prevents others from creating repositories in the namespace, if they must count them first. Taken with the repository. */
export async function lockRepositoryNames(db: Db, name: RepositoryName): Promise<void> {
  if (isPostgres(db)) await lockKey(db, { key: `berth:repositories:${namespaceOf(name) ?? ''}` });
}

/** Locks the tag rules for a change. Waits for all transactions that move or delete tags by the rules as they are. */
export async function lockTagRules(db: Db): Promise<void> {
  if (isPostgres(db)) await lockKey(db, { key: tagRulesKey });
}

const lockKeyShared = prepare((db, p: Params<{ key: string }>) =>
  db.selectNoFrom(sql`pg_advisory_xact_lock_shared(hashtextextended(${p('key')}, 0))`.as('locked')),
);

/** Locks the tag rules against changes, for transactions that delete tags by their manifest or repository. */
export async function lockTagRulesShared(db: Db): Promise<void> {
  if (isPostgres(db)) await lockKeyShared(db, { key: tagRulesKey });
}
