import { randomBytes } from 'node:crypto';
import type { ColumnBuilderCallback, ColumnDataType, Kysely } from 'kysely';
import { sql } from 'kysely';
import { blobType, isPostgres } from '../dialect.ts';

/** The ranks of `oci/referrer-rank.ts` when this migration was written. */
const ranks = sql`case
  when artifact_type like 'application/vnd.dev.cosign.artifact.sig.%' then 0
  when artifact_type like 'application/vnd.dev.cosign.simplesigning.%' then 0
  when artifact_type like 'application/vnd.dev.sigstore.bundle%' then 0
  when artifact_type like 'application/vnd.cncf.notary.signature%' then 0
  when artifact_type like 'application/vnd.dev.cosign.artifact.att.%' then 1
  when artifact_type like 'application/vnd.in-toto%' then 1
  when artifact_type like 'application/vnd.dsse.envelope%' then 1
  else 2
end`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('manifests')
    .addColumn('rank', 'integer', (column) => column.notNull().defaultTo(2))
    .execute();
  await db.schema
    .alterTable('manifests')
    .addColumn('annotations_size', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  await sql`
    update manifests
    set rank = ${ranks}, annotations_size = coalesce(octet_length(annotations), 0)
    where artifact_type is not null or annotations is not null
  `.execute(db);
  if (!isPostgres(db)) {
    await moveToTheEnd(db, 'annotations', 'text', (column) => column);
    await moveToTheEnd(db, 'bytes', blobType(db), (column) => column.notNull().defaultTo(sql`x''`));
  }

  await db.schema.dropIndex('manifests_by_subject').execute();
  await db.schema
    .createIndex('manifests_by_subject_and_rank')
    .on('manifests')
    .columns(['repository_id', 'subject_digest', 'rank', 'digest'])
    .where('subject_digest', 'is not', null)
    .execute();

  // Encrypts hidden names in the positions of listings.
  await sql`insert into properties (name, value) values ('page-key', ${randomBytes(32).toString('hex')})`.execute(
    db,
  );
}

/** SQLite reads a row from its start: reading a column after a large one costs as much as reading the large one. */
async function moveToTheEnd(
  db: Kysely<unknown>,
  name: string,
  type: ColumnDataType,
  build: ColumnBuilderCallback,
): Promise<void> {
  const moved = `${name}_moved`;
  await db.schema.alterTable('manifests').addColumn(moved, type, build).execute();
  await sql`update manifests set ${sql.ref(moved)} = ${sql.ref(name)}`.execute(db);
  await db.schema.alterTable('manifests').dropColumn(name).execute();
  await db.schema.alterTable('manifests').renameColumn(moved, name).execute();
}
