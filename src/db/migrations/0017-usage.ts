import { type Kysely, sql } from 'kysely';
import { byteOrderedText, identity, isPostgres } from '../dialect.ts';

/** Usage of repositories and namespaces, kept by triggers, and quotas. Decision 23 has the reasons. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createTables(db);
  if (isPostgres(db)) {
    // First, because this waits for running transactions, and later ones wait for the migration.
    await createTriggers(db, postgresTriggers);
    await fillUsage(db);
  } else {
    // Last, because they would run for each row that is filled in.
    await fillUsage(db);
    await createTriggers(db, sqliteTriggers);
  }
}

async function createTriggers(db: Kysely<unknown>, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

async function createTables(db: Kysely<unknown>): Promise<void> {
  // Without a second tree for the key.
  const end = isPostgres(db) ? sql`` : sql`without rowid`;
  await db.schema
    .createTable('repository_usage')
    .addColumn('repository_id', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('blobs', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('bytes', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('tags', 'bigint', (column) => column.notNull().defaultTo(0))
    .modifyEnd(end)
    .execute();
  await db.schema
    .createTable('namespace_usage')
    .addColumn('namespace', byteOrderedText(db), (column) => column.primaryKey().notNull())
    .addColumn('blobs', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('bytes', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('tags', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('repositories', 'bigint', (column) => column.notNull().defaultTo(0))
    .modifyEnd(end)
    .execute();
  await db.schema
    .createTable('namespace_blobs')
    .addColumn('namespace', byteOrderedText(db), (column) => column.notNull())
    .addColumn('digest', byteOrderedText(db), (column) => column.notNull())
    .addColumn('links', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('namespace_blobs_key', ['namespace', 'digest'])
    .modifyEnd(end)
    .execute();
  await db.schema
    .createTable('usage_changes')
    .addColumn('id', ...identity(db))
    .addColumn('repository_id', 'bigint')
    .addColumn('namespace', byteOrderedText(db))
    .addColumn('blobs', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('bytes', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('tags', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('repositories', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  for (const column of ['repository_id', 'namespace']) {
    await db.schema
      .createIndex(`usage_changes_by_${column}`)
      .on('usage_changes')
      .column(column)
      .where(sql.ref(column), 'is not', null)
      .execute();
  }
  await db.schema
    .createTable('usage_days')
    .addColumn('day', 'bigint', (column) => column.notNull())
    .addColumn('namespace', byteOrderedText(db), (column) => column.notNull())
    .addColumn('blobs', 'bigint', (column) => column.notNull())
    .addColumn('bytes', 'bigint', (column) => column.notNull())
    .addColumn('tags', 'bigint', (column) => column.notNull())
    .addColumn('repositories', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('usage_days_key', ['day', 'namespace'])
    .execute();
  await db.schema
    .createIndex('usage_days_by_namespace')
    .on('usage_days')
    .columns(['namespace', 'day'])
    .execute();

  await db.schema
    .createTable('quotas')
    .addColumn('id', ...identity(db))
    .addColumn('account_id', 'bigint', (column) =>
      column.references('accounts.id').onDelete('cascade').unique(),
    )
    .addColumn('repository_id', 'bigint', (column) =>
      column.references('repositories.id').onDelete('cascade').unique(),
    )
    .addColumn('bytes', 'bigint')
    .addColumn('tags', 'bigint')
    .addColumn('repositories', 'bigint')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addCheckConstraint('quotas_place', sql`(account_id is null) <> (repository_id is null)`)
    .execute();
}

/** SQL of the namespace of a repository's name: empty for a name without a slash. */
function namespaceOf(name: string): string {
  return `substr(${name}, 1, max(instr(${name}, '/') - 1, 0))`;
}

const namespaceInPostgres = (name: string): string =>
  `(case when strpos(${name}, '/') = 0 then '' else split_part(${name}, '/', 1) end) collate "C"`;

/** SQL, 1 or 0: names with an `@` are those of repositories in the trash, whose tags and repositories do not count. */
const isVisible = (name: string): string => `(case when ${name} like '%@%' then 0 else 1 end)`;

/** Computes the usage from the other tables. No other transaction may change them meanwhile. */
export async function fillUsage(db: Kysely<unknown>): Promise<void> {
  const namespace = sql.raw((isPostgres(db) ? namespaceInPostgres : namespaceOf)('repositories.name'));
  const visible = sql.raw(isVisible('repositories.name'));
  for (const table of ['repository_usage', 'namespace_usage', 'namespace_blobs', 'usage_changes']) {
    await sql`delete from ${sql.table(table)}`.execute(db);
  }
  await sql`
    insert into repository_usage (repository_id, blobs, bytes, tags)
    select id, coalesce(held.blobs, 0), coalesce(held.bytes, 0), coalesce(tagged.tags, 0)
    from repositories
    left join (
      select repository_id, count(*) as blobs, sum(size) as bytes
      from repository_blobs left join blobs on blobs.digest = repository_blobs.digest group by repository_id
    ) as held on held.repository_id = repositories.id
    left join (select repository_id, count(*) as tags from tags group by repository_id) as tagged
      on tagged.repository_id = repositories.id
    where held.blobs > 0 or tagged.tags > 0
  `.execute(db);
  // Filled by the statement, as `namespace_blobs` has a trigger on SQLite.
  await sql`
    insert into namespace_blobs (namespace, digest, links)
    select ${namespace}, repository_blobs.digest, count(*)
    from repository_blobs join repositories on repositories.id = repository_blobs.repository_id
    group by 1, 2
  `.execute(db);
  await sql`delete from namespace_usage`.execute(db);
  await sql`
    insert into namespace_usage (namespace, blobs, bytes, tags, repositories)
    select counted.namespace, coalesce(held.blobs, 0), coalesce(held.bytes, 0), counted.tags, counted.repositories
    from (
      select ${namespace} as namespace, sum(${visible}) as repositories,
        sum(${visible} * coalesce(repository_usage.tags, 0)) as tags
      from repositories left join repository_usage on repository_usage.repository_id = repositories.id group by 1
    ) as counted
    left join (
      select namespace, count(*) as blobs, sum(size) as bytes
      from namespace_blobs left join blobs on blobs.digest = namespace_blobs.digest group by namespace
    ) as held on held.namespace = counted.namespace
  `.execute(db);
}

/** Adds to the rows at once: SQLite has only one writer. */
const sqliteTriggers = (() => {
  const nameOf = (id: string) => `(select name from repositories where id = ${id})`;
  const sizeOf = (row: string) => `coalesce((select size from blobs where digest = ${row}.digest), 0)`;
  const addLink = (namespace: string, digest: string) => `
    insert into namespace_blobs (namespace, digest, links) values (${namespace}, ${digest}, 1)
      on conflict (namespace, digest) do update set links = links + 1;`;
  const removeLinks = (namespace: string, digests: string) => `
    update namespace_blobs set links = links - 1 where namespace = ${namespace} and digest in (${digests});
    delete from namespace_blobs where namespace = ${namespace} and digest in (${digests}) and links <= 0;`;
  const addToRepository = (id: string, columns: string, values: string, update: string) => `
    insert into repository_usage (repository_id, ${columns}) values (${id}, ${values})
      on conflict (repository_id) do update set ${update};`;
  const addToNamespace = (namespace: string, column: string, count: string) => `
    insert into namespace_usage (namespace, ${column}) values (${namespace}, ${count})
      on conflict (namespace) do update set ${column} = ${column} + excluded.${column};`;
  const link = (row: string) =>
    addToRepository(
      `${row}.repository_id`,
      'blobs, bytes',
      `1, ${sizeOf(row)}`,
      'blobs = blobs + 1, bytes = bytes + excluded.bytes',
    ) + addLink(namespaceOf(nameOf(`${row}.repository_id`)), `${row}.digest`);
  const unlink = (row: string) => `
    update repository_usage set blobs = blobs - 1, bytes = bytes - ${sizeOf(row)}
      where repository_id = ${row}.repository_id;
    ${removeLinks(namespaceOf(nameOf(`${row}.repository_id`)), `${row}.digest`)}`;
  const tag = (row: string, count: 1 | -1) => {
    const name = nameOf(`${row}.repository_id`);
    return (
      addToRepository(`${row}.repository_id`, 'tags', `${count}`, 'tags = tags + excluded.tags') +
      addToNamespace(namespaceOf(name), 'tags', `${count} * ${isVisible(name)}`)
    );
  };
  const [oldNamespace, newNamespace] = [namespaceOf('old.name'), namespaceOf('new.name')];
  const tagsOf = (row: string) =>
    `(select coalesce(max(tags), 0) from repository_usage where repository_id = ${row}.id)`;
  const trigger = (name: string, on: string, body: string) =>
    `create trigger usage_${name} ${on} begin ${body} end`;
  const deleteEmpty = `
    delete from namespace_usage
      where namespace = ${oldNamespace} and blobs = 0 and bytes = 0 and tags = 0 and repositories = 0;`;
  const digestsOf = 'select digest from repository_blobs where repository_id = old.id';
  return [
    trigger('blob_linked', 'after insert on repository_blobs', link('new')),
    trigger('blob_unlinked', 'after delete on repository_blobs', unlink('old')),
    trigger(
      'link_moved',
      'after update of repository_id on repository_blobs when old.repository_id <> new.repository_id',
      link('new') + unlink('old'),
    ),
    trigger(
      'namespace_got_blob',
      'after insert on namespace_blobs',
      `insert into namespace_usage (namespace, blobs, bytes) values (new.namespace, 1, ${sizeOf('new')})
        on conflict (namespace) do update set blobs = blobs + 1, bytes = bytes + excluded.bytes;`,
    ),
    trigger(
      'namespace_lost_blob',
      'after delete on namespace_blobs',
      `update namespace_usage set blobs = blobs - 1, bytes = bytes - ${sizeOf('old')} where namespace = old.namespace;`,
    ),
    trigger(
      'blob_resized',
      'after update of size on blobs when old.size <> new.size',
      `update repository_usage set bytes = bytes + new.size - old.size
        where repository_id in (select repository_id from repository_blobs where digest = new.digest);
      update namespace_usage set bytes = bytes + new.size - old.size
        where namespace in (
          select ${namespaceOf('repositories.name')} from repository_blobs
          join repositories on repositories.id = repository_blobs.repository_id
          where digest = new.digest
        );`,
    ),
    trigger('tag_added', 'after insert on tags', tag('new', 1)),
    trigger('tag_removed', 'after delete on tags', tag('old', -1)),
    trigger(
      'tag_moved',
      'after update of repository_id on tags when old.repository_id <> new.repository_id',
      tag('new', 1) + tag('old', -1),
    ),
    trigger(
      'repository_made',
      'after insert on repositories',
      addToNamespace(newNamespace, 'repositories', isVisible('new.name')),
    ),
    trigger(
      'repository_deleted',
      'after delete on repositories',
      `delete from repository_usage where repository_id = old.id;
      ${addToNamespace(oldNamespace, 'repositories', `-${isVisible('old.name')}`)}
      ${deleteEmpty}`,
    ),
    trigger(
      'repository_got_namespace',
      `after update of name on repositories when ${oldNamespace} <> ${newNamespace}`,
      `insert into namespace_blobs (namespace, digest, links)
        select ${newNamespace}, digest, 1 from repository_blobs where repository_id = new.id
        on conflict (namespace, digest) do update set links = links + 1;
      ${removeLinks(oldNamespace, digestsOf)}
      ${deleteEmpty}`,
    ),
    trigger(
      'repository_renamed',
      'after update of name on repositories when old.name <> new.name',
      `${addToNamespace(newNamespace, 'repositories', isVisible('new.name'))}
      ${addToNamespace(oldNamespace, 'repositories', `-${isVisible('old.name')}`)}
      ${addToNamespace(newNamespace, 'tags', `${isVisible('new.name')} * ${tagsOf('new')}`)}
      ${addToNamespace(oldNamespace, 'tags', `-${isVisible('old.name')} * ${tagsOf('old')}`)}
      ${deleteEmpty}`,
    ),
  ];
})();

/**
 * Adds rows to `usage_changes`, which a job adds up: transactions that updated the row of a namespace would wait for each other, and
 * could deadlock. `namespace_blobs` is changed under the locks of the blobs, and in the order of their digests.
 */
const postgresTriggers = (() => {
  const namespace = namespaceInPostgres;
  const trigger = (name: string, on: string, run: string) =>
    `create trigger usage_${name} ${on} execute function ${run}()`;
  const ofRow = (name: string, body: string) =>
    `create function ${name}() returns trigger language plpgsql as $$ begin ${body} return null; end $$`;
  const sign = `case tg_op when 'DELETE' then -1 else 1 end`;
  return [
    `create function usage_count_links(p_ids bigint[], p_names text[], p_digests text[], p_sign bigint)
    returns void language plpgsql as $$ begin
      if p_ids is null then return; end if;
      insert into usage_changes (repository_id, blobs, bytes)
      select given.id, p_sign * count(*), p_sign * sum(blobs.size)
      from unnest(p_ids, p_digests) as given (id, digest) join blobs on blobs.digest = given.digest
      group by given.id;
      with given as (
        select ${namespace('given.name')} as namespace, given.digest, p_sign * count(*) as links
        from unnest(p_names, p_digests) as given (name, digest) group by 1, 2
      ), counted as (
        insert into namespace_blobs (namespace, digest, links)
        select namespace, digest, links from given order by digest, namespace
        on conflict (namespace, digest) do update set links = namespace_blobs.links + excluded.links
        returning namespace, digest, links
      )
      insert into usage_changes (namespace, blobs, bytes)
      select counted.namespace, p_sign * count(*), p_sign * sum(blobs.size)
      from counted
      join given on given.namespace = counted.namespace and given.digest = counted.digest
      join blobs on blobs.digest = counted.digest
      where counted.links = case when p_sign > 0 then given.links else 0 end
      group by counted.namespace;
      if p_sign < 0 then
        delete from namespace_blobs using unnest(p_names, p_digests) as given (name, digest)
        where namespace_blobs.namespace = ${namespace('given.name')} and namespace_blobs.digest = given.digest
          and links <= 0;
      end if;
    end $$`,
    `create function usage_count_tags(p_id bigint, p_name text, p_count bigint)
    returns void language sql as $$
      insert into usage_changes (repository_id, tags) select p_id, p_count where p_count <> 0;
      insert into usage_changes (namespace, tags)
      select ${namespace('p_name')}, p_count where p_count <> 0 and ${isVisible('p_name')} = 1;
    $$`,
    ofRow(
      'usage_links_changed',
      `perform usage_count_links(array_agg(repositories.id), array_agg(repositories.name), array_agg(digest), ${sign})
      from changed join repositories on repositories.id = repository_id;`,
    ),
    ofRow(
      'usage_tags_changed',
      `perform usage_count_tags(repositories.id, repositories.name, ${sign} * count(*))
      from changed join repositories on repositories.id = repository_id group by repositories.id;`,
    ),
    trigger(
      'blob_linked',
      'after insert on repository_blobs referencing new table as changed for each statement',
      'usage_links_changed',
    ),
    trigger(
      'blob_unlinked',
      'after delete on repository_blobs referencing old table as changed for each statement',
      'usage_links_changed',
    ),
    trigger(
      'tag_added',
      'after insert on tags referencing new table as changed for each statement',
      'usage_tags_changed',
    ),
    trigger(
      'tag_removed',
      'after delete on tags referencing old table as changed for each statement',
      'usage_tags_changed',
    ),
    ofRow(
      'usage_link_moved',
      `perform usage_count_links(array[id], array[name], array[new.digest], 1) from repositories where id = new.repository_id;
      perform usage_count_links(array[id], array[name], array[new.digest], -1) from repositories where id = old.repository_id;`,
    ),
    trigger(
      'link_moved',
      'after update of repository_id on repository_blobs for each row when (old.repository_id <> new.repository_id)',
      'usage_link_moved',
    ),
    ofRow(
      'usage_tag_moved',
      `perform usage_count_tags(id, name, 1) from repositories where id = new.repository_id;
      perform usage_count_tags(id, name, -1) from repositories where id = old.repository_id;`,
    ),
    trigger(
      'tag_moved',
      'after update of repository_id on tags for each row when (old.repository_id <> new.repository_id)',
      'usage_tag_moved',
    ),
    ofRow(
      'usage_blob_resized',
      `insert into usage_changes (repository_id, bytes)
      select repository_id, new.size - old.size from repository_blobs where digest = new.digest;
      insert into usage_changes (namespace, bytes)
      select distinct ${namespace('repositories.name')}, new.size - old.size from repository_blobs
      join repositories on repositories.id = repository_blobs.repository_id
      where digest = new.digest;`,
    ),
    trigger(
      'blob_resized',
      'after update of size on blobs for each row when (old.size <> new.size)',
      'usage_blob_resized',
    ),
    ofRow(
      'usage_repository_made',
      `insert into usage_changes (namespace, repositories) values (${namespace('new.name')}, ${isVisible('new.name')});`,
    ),
    trigger('repository_made', 'after insert on repositories for each row', 'usage_repository_made'),
    ofRow(
      'usage_repository_deleted',
      `insert into usage_changes (namespace, repositories) values (${namespace('old.name')}, -${isVisible('old.name')});`,
    ),
    trigger('repository_deleted', 'after delete on repositories for each row', 'usage_repository_deleted'),
    ofRow(
      'usage_repository_renamed',
      `if ${namespace('old.name')} <> ${namespace('new.name')} then
        perform usage_count_links(array_agg(new.id), array_agg(new.name), array_agg(digest), 1)
        from repository_blobs where repository_id = new.id;
        perform usage_count_links(array_agg(new.id), array_agg(old.name), array_agg(digest), -1)
        from repository_blobs where repository_id = new.id;
      end if;
      perform usage_count_tags(new.id, new.name, count(*)) from tags where repository_id = new.id;
      perform usage_count_tags(new.id, old.name, -count(*)) from tags where repository_id = new.id;
      insert into usage_changes (namespace, repositories)
      values (${namespace('new.name')}, ${isVisible('new.name')}), (${namespace('old.name')}, -${isVisible('old.name')});`,
    ),
    trigger(
      'repository_renamed',
      'after update of name on repositories for each row when (old.name <> new.name)',
      'usage_repository_renamed',
    ),
  ];
})();
