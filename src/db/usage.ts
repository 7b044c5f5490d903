// Usage of repositories and namespaces. Triggers keep it in the transactions that change it (migration 0017).
import { type Expression, type Kysely, type RawBuilder, sql } from 'kysely';
import type { RepositoryName } from '../oci/name.ts';
import { isPostgres } from './dialect.ts';
import { fillUsage } from './migrations/0017-usage.ts';
import { type Db, first, prepare } from './prepare.ts';
import { sliceSize } from './slices.ts';

/** Blobs and their bytes, each blob counted once, and tags. */
export interface Usage {
  readonly blobs: number;
  readonly bytes: number;
  readonly tags: number;
}

export interface NamespaceUsage extends Usage {
  /** Empty for repositories whose names have no namespace. */
  readonly namespace: string;
  /** Without those in the trash, as `tags`. */
  readonly repositories: number;
}

export interface RepositoryUsage extends Usage {
  readonly id: number;
  readonly name: RepositoryName;
}

/** The row of a namespace, and its changes that are not added to it yet. */
export function ofNamespace(namespace: Expression<unknown>): RawBuilder<unknown> {
  return sql`(
    select blobs, bytes, tags, repositories from namespace_usage where namespace = ${namespace}
    union all select blobs, bytes, tags, repositories from usage_changes where namespace = ${namespace}
  )`;
}

/** {@link ofNamespace} for a repository. */
export function ofRepository(repository: Expression<unknown>): RawBuilder<unknown> {
  return sql`(
    select blobs, bytes, tags, 0 as repositories from repository_usage where repository_id = ${repository}
    union all select blobs, bytes, tags, 0 from usage_changes where repository_id = ${repository}
  )`;
}

/** The sum of a column, as a number: PostgreSQL sums bigints as numeric. */
export function sumOf(column: string): RawBuilder<number> {
  return sql`cast(coalesce(sum(${sql.ref(column)}), 0) as bigint)`;
}

/** {@link sumOf} as a query of its own. */
function sumFrom(column: string, from: RawBuilder<unknown>): RawBuilder<number> {
  return sql`(select ${sumOf(column)} from ${from} as usage)`;
}

const selectNamespaces = prepare<{ from: string; limit: number }, NamespaceUsage>((db, p) => {
  const page = (table: string) => sql`
    select * from (
      select distinct namespace from ${sql.table(table)} where namespace >= ${p('from')} order by namespace limit ${p('limit')}
    ) as page`;
  const of = ofNamespace(sql.ref('names.namespace'));
  const query = sql<NamespaceUsage>`
    select namespace, ${sumFrom('blobs', of)} as blobs, ${sumFrom('bytes', of)} as bytes, ${sumFrom('tags', of)} as tags,
      ${sumFrom('repositories', of)} as repositories
    from (${page('namespace_usage')} union ${page('usage_changes')}) as names
    order by namespace limit ${p('limit')}`;
  return { compile: () => query.compile(db) };
});

/** Namespaces from `from` on in byte order, at most `limit`. */
export function listNamespaceUsage(db: Db, from = '', limit = sliceSize): Promise<NamespaceUsage[]> {
  return selectNamespaces(db, { from, limit });
}

const selectRepositories = prepare<{ from: string; to: string; limit: number }, RepositoryUsage>((db, p) => {
  const of = ofRepository(sql.ref('repositories.id'));
  const query = sql<RepositoryUsage>`
    select id, name, ${sumFrom('blobs', of)} as blobs, ${sumFrom('bytes', of)} as bytes, ${sumFrom('tags', of)} as tags
    from repositories where name >= ${p('from')} and name < ${p('to')} order by name limit ${p('limit')}`;
  return { compile: () => query.compile(db) };
});

/** Repositories whose names begin with `prefix`, after `after` in byte order, at most `limit`; those in the trash too. */
export function listRepositoryUsage(
  db: Db,
  prefix: string,
  after: string,
  limit = sliceSize,
): Promise<RepositoryUsage[]> {
  return selectRepositories(db, {
    from: after < prefix ? prefix : afterName(after),
    to: `${prefix}~`,
    limit,
  });
}

/** The lowest text after a name in byte order. */
export function afterName(name: string): string {
  return `${name}\u0001`;
}

/** Whether a repository is in the trash: its name there has an `@`, which no client can name. */
export function isInTrash(name: string): boolean {
  return name.includes('@');
}

/** The counted columns of both tables. */
const counted = {
  repository_usage: { key: 'repository_id', columns: ['blobs', 'bytes', 'tags'] },
  namespace_usage: { key: 'namespace', columns: ['blobs', 'bytes', 'tags', 'repositories'] },
} as const;

function refs(columns: readonly string[]): RawBuilder<unknown> {
  return sql.join(columns.map((column) => sql.ref(column)));
}

function addTaken(table: keyof typeof counted): RawBuilder<unknown> {
  const { key, columns } = counted[table];
  const sums = sql.join(columns.map((column) => sql`sum(${sql.ref(column)})`));
  const sets = columns.map(
    (column) => sql`${sql.ref(column)} = ${sql.ref(`${table}.${column}`)} + ${sql.ref(`excluded.${column}`)}`,
  );
  return sql`
    insert into ${sql.table(table)} (${refs([key, ...columns])})
    select ${sql.ref(key)}, ${sums} from taken where ${sql.ref(key)} is not null
    group by ${sql.ref(key)} order by ${sql.ref(key)}
    on conflict (${sql.ref(key)}) do update set ${sql.join(sets)}`;
}

const addSome = prepare<{ limit: number }, { rows: number }>((db, p) => {
  const query = sql<{ rows: number }>`
    with taken as (
      delete from usage_changes where id in (select id from usage_changes order by id limit ${p('limit')})
      returning repository_id, namespace, blobs, bytes, tags, repositories
    ),
    of_repositories as (${addTaken('repository_usage')}),
    of_namespaces as (${addTaken('namespace_usage')})
    select count(*) as rows from taken`;
  return { compile: () => query.compile(db) };
});

/** Adds up to `limit` rows of `usage_changes` to the rows of their repositories and namespaces; returns their number. */
export async function addUsageChanges(db: Db, limit = sliceSize): Promise<number> {
  // On SQLite there are none.
  return isPostgres(db) ? Number((await first(addSome(db, { limit })))?.rows ?? 0) : 0;
}

/** Whether {@link addUsageChanges} has anything to do. */
export async function hasUsageChanges(db: Db): Promise<boolean> {
  return (await db.selectFrom('usage_changes').select('id').limit(1).execute()).length > 0;
}

/**
 * Deletes the usage of namespaces and repositories that have none any more.
 */
export async function deleteEmptyUsage(db: Db): Promise<void> {
  await db
    .deleteFrom('repository_usage')
    .where('blobs', '=', 0)
    .where('bytes', '=', 0)
    .where('tags', '=', 0)
    .execute();
  await db
    .deleteFrom('namespace_usage')
    .where('blobs', '=', 0)
    .where('bytes', '=', 0)
    .where('tags', '=', 0)
    .where('repositories', '=', 0)
    .execute();
}

/**
 * Counts everything again and corrects the usage. Blocks all pushes and deletions meanwhile: some seconds for a million links.
 */
export async function recountUsage(db: Db): Promise<void> {
  // In the order in which a push first touches them.
  if (isPostgres(db)) {
    await sql`lock table repositories, blobs, repository_blobs, tags, usage_changes in share row exclusive mode`.execute(
      db,
    );
  }
  await fillUsage(db as unknown as Kysely<unknown>);
}

/** The usage that is kept, and a recount, both of one moment. */
export interface Recount {
  readonly kept: NamespaceCounts;
  readonly counted: NamespaceCounts;
  /** Blobs whose number of links in the namespace is wrong. */
  readonly links: number;
}

type NamespaceCounts = Omit<NamespaceUsage, 'namespace'>;

interface Recounted extends NamespaceCounts {
  readonly counted_blobs: number;
  readonly counted_bytes: number;
  readonly counted_tags: number;
  readonly counted_repositories: number;
  readonly links: number;
}

function keptOf(from: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql.join(
    counted.namespace_usage.columns.map((column) => sql`${sumFrom(column, from)} as ${sql.ref(column)}`),
  );
}

const recountOne = prepare<{ id: number }, Recounted>((db, p) => {
  const held = sql`(
    select size from repository_blobs left join blobs on blobs.digest = repository_blobs.digest
    where repository_id = ${p('id')}
  )`;
  const query = sql<Recounted>`
    select ${keptOf(ofRepository(p('id')))},
      (select count(*) from ${held} as held) as counted_blobs, ${sumFrom('size', held)} as counted_bytes,
      (select count(*) from tags where repository_id = ${p('id')}) as counted_tags,
      0 as counted_repositories, 0 as links`;
  return { compile: () => query.compile(db) };
});

/** Counts the blobs and tags of a repository. */
export async function recountRepository(db: Db, id: number): Promise<Recount> {
  return toRecount(await first(recountOne(db, { id })));
}

const recountMany = prepare<{ namespace: string; from: string; to: string }, Recounted>((db, p) => {
  const own = sql`repositories.name >= ${p('from')} and repositories.name < ${p('to')}
    and (${p('namespace')} <> '' or repositories.name not like '%/%')`;
  const held = sql`(
    select held.digest, count(*) as links, min(blobs.size) as size
    from repositories join repository_blobs as held on held.repository_id = repositories.id
    left join blobs on blobs.digest = held.digest
    where ${own} group by held.digest
  )`;
  const kept = sql`(select digest, links from namespace_blobs where namespace = ${p('namespace')})`;
  const shown = sql`${own} and repositories.name not like '%@%'`;
  const query = sql<Recounted>`
    select ${keptOf(ofNamespace(p('namespace')))},
      (select count(*) from ${held} as held) as counted_blobs, ${sumFrom('size', held)} as counted_bytes,
      (select count(*) from tags join repositories on repositories.id = tags.repository_id where ${shown}) as counted_tags,
      (select count(*) from repositories where ${shown}) as counted_repositories,
      (select count(*) from ${held} as held full join ${kept} as kept on kept.digest = held.digest
        where kept.links is distinct from held.links) as links`;
  return { compile: () => query.compile(db) };
});

/** Counts the blobs, tags and repositories of a namespace; empty: of all names without one. */
export async function recountNamespace(db: Db, namespace: string): Promise<Recount> {
  // '0' is the character after '/', and '~' is above all characters of names.
  const range = namespace === '' ? { from: '', to: '~' } : { from: `${namespace}/`, to: `${namespace}0` };
  return toRecount(await first(recountMany(db, { namespace, ...range })));
}

function toRecount(row: Recounted | undefined): Recount {
  const { blobs, bytes, tags, repositories, links, ...counted } = row as Recounted;
  return {
    kept: { blobs, bytes, tags, repositories },
    // PostgreSQL returns counts as text.
    counted: {
      blobs: Number(counted.counted_blobs),
      bytes: Number(counted.counted_bytes),
      tags: Number(counted.counted_tags),
      repositories: Number(counted.counted_repositories),
    },
    links: Number(links),
  };
}

/** Whether a recount finds what is kept. */
export function agrees(recount: Recount): boolean {
  const { columns } = counted.namespace_usage;
  return recount.links === 0 && columns.every((name) => recount.kept[name] === recount.counted[name]);
}

/** Bytes of the stored blobs, and of those of them that no repository holds. */
export interface StoredBytes {
  readonly blobs: number;
  readonly bytes: number;
  /** They wait for garbage collection, or are parked. */
  readonly unheldBytes: number;
}

const sumStored = prepare<{ after: string; limit: number }, StoredBytes & { last: string | null }>(
  (db, p) => {
    const query = sql<StoredBytes & { last: string | null }>`
    select max(digest) as last, count(case when state = 'stored' then 1 end) as blobs,
      cast(coalesce(sum(case when state = 'stored' then size else 0 end), 0) as bigint) as bytes,
      cast(coalesce(sum(case when state = 'stored' and not exists (
        select 1 from repository_blobs as held where held.digest = slice.digest
      ) then size else 0 end), 0) as bigint) as "unheldBytes"
    from (
      select digest, size, state from blobs where digest > ${p('after')} order by digest limit ${p('limit')}
    ) as slice`;
    return { compile: () => query.compile(db) };
  },
);

/** Sums over all stored blobs. @param pause called between slices */
export async function sumStoredBytes(db: Db, pause: () => Promise<void>): Promise<StoredBytes> {
  const sum = { blobs: 0, bytes: 0, unheldBytes: 0 };
  for (let after = ''; ; ) {
    const slice = await first(sumStored(db, { after, limit: sliceSize }));
    if (slice === undefined || slice.last === null) return sum;
    sum.blobs += Number(slice.blobs);
    sum.bytes += slice.bytes;
    sum.unheldBytes += slice.unheldBytes;
    after = slice.last;
    await pause();
  }
}
