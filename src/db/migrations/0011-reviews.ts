import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';

/** Queues of the blobs that garbage collection has to look at, so that it reads no others. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // For finding the manifests of one repository that reference a digest, however many others do.
  await db.schema
    .alterTable('manifest_references')
    .addColumn('repository_id', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  await sql`
    update manifest_references
    set repository_id = (select repository_id from manifests where manifests.id = manifest_references.manifest_id)
  `.execute(db);
  // A replica of an older version that still runs must fail rather than record a reference that garbage collection does not find.
  if (isPostgres(db)) {
    await db.schema
      .alterTable('manifest_references')
      .alterColumn('repository_id', (column) => column.dropDefault())
      .execute();
  }
  await db.schema.dropIndex('manifest_references_by_digest').execute();
  await db.schema
    .createIndex('manifest_references_by_digest')
    .on('manifest_references')
    .columns(['digest', 'repository_id'])
    .execute();

  await db.schema.alterTable('repository_blobs').addColumn('review_at', 'bigint').execute();
  await sql`
    update repository_blobs set review_at = created_at
    where not exists (
      select 1 from manifest_references as needed
      where needed.digest = repository_blobs.digest and needed.repository_id = repository_blobs.repository_id
    )
  `.execute(db);
  await db.schema
    .createIndex('repository_blobs_by_review')
    .on('repository_blobs')
    .columns(['review_at', 'repository_id', 'digest'])
    .where('review_at', 'is not', null)
    .execute();

  await db.schema.alterTable('blobs').addColumn('unheld_at', 'bigint').execute();
  await sql`
    update blobs set unheld_at = review_at
    where state = 'stored' and not exists (select 1 from repository_blobs as held where held.digest = blobs.digest)
  `.execute(db);
  await db.schema
    .createIndex('blobs_by_unheld')
    .on('blobs')
    .columns(['unheld_at', 'digest'])
    .where('unheld_at', 'is not', null)
    .execute();
  await db.schema
    .createIndex('blobs_deleting')
    .on('blobs')
    .column('digest')
    .where(sql`state`, '=', 'deleting')
    .execute();
  // Nothing reads all reviews any more.
  await db.schema.dropIndex('blobs_by_review').execute();
}
