import { type Kysely, sql } from 'kysely';

/** Indexes for the history of a tag and of a repository: only changes that moved or deleted a tag, by id. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const moved = sql`tag is not null and old_digest is distinct from new_digest`;
  await sql`create index changes_of_tag on changes (repository_id, tag, id) where ${moved}`.execute(db);
  await sql`create index changes_of_repository on changes (repository_id, id) where ${moved}`.execute(db);
}
