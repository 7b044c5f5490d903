// Inserts many rows by a few statements, for tests of code that is slow only with many rows.
import { createHash } from 'node:crypto';
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../src/db/database.ts';
import { isPostgres } from '../../src/db/dialect.ts';
import type { Db } from '../../src/db/prepare.ts';
import { findOrCreateRepository } from '../../src/db/repositories.ts';
import type { RepositoryName } from '../../src/oci/name.ts';
import { referrerRank } from '../../src/oci/referrer-rank.ts';

/** Digests without content, unordered. */
export function digestsOf(what: string, count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) => `sha256:${createHash('sha256').update(`${what} ${i}`).digest('hex')}`,
  );
}

/** Rows with a `value` for each text of a list. */
function each(db: Db, list: readonly string[]): RawBuilder<unknown> {
  const text = JSON.stringify(list);
  return isPostgres(db)
    ? sql`jsonb_array_elements_text(cast(${text} as jsonb)) as given(value)`
    : sql`json_each(${text}) as given`;
}

/** Inserts private repositories with one manifest each. */
export async function insertRepositories(database: Database, names: readonly string[]): Promise<void> {
  await database.transaction(async (db) => {
    await sql`insert into repositories (name, created_at) select value, 1 from ${each(db, names)}`.execute(
      db,
    );
    await sql`
      insert into manifests (repository_id, digest, media_type, bytes, size, created_at)
      select repositories.id, 'sha256:x', 'a/b', ${Buffer.from('{}')}, 2, 1 from ${each(db, names)}
      join repositories on repositories.name = given.value
    `.execute(db);
  });
}

/** Links blobs to the repository as if pushed, without storing bytes. */
export async function insertBlobs(
  database: Database,
  repository: string,
  digests: readonly string[],
): Promise<void> {
  await database.transaction(async (db) => {
    const id = await findOrCreateRepository(db, repository as RepositoryName, 1);
    await sql`
      insert into blobs (digest, size, generation, state, created_at, review_at)
      select value, 1, 0, 'stored', 1, 1 from ${each(db, digests)} where true on conflict do nothing
    `.execute(db);
    await sql`
      insert into repository_blobs (repository_id, digest, created_at)
      select ${sql.lit(id)}, value, 1 from ${each(db, digests)} where true on conflict do nothing
    `.execute(db);
  });
}

/** Inserts tags `t0`, `t1`, … that point to a manifest of the repository. */
export async function insertTags(
  database: Database,
  { repository, digest }: { repository: string; digest: string },
  count: number,
): Promise<void> {
  const names = Array.from({ length: count }, (_, i) => `t${i}`);
  await database.transaction((db) =>
    sql`
      insert into tags (repository_id, name, manifest_id, updated_at)
      select repositories.id, given.value, manifests.id, 1 from ${each(db, names)}
      join repositories on repositories.name = ${repository}
      join manifests on manifests.repository_id = repositories.id and manifests.digest = ${digest}
    `.execute(db),
  );
}

export interface Crowd {
  readonly repository: string;
  readonly digests: readonly string[];
  readonly subject?: string;
  readonly artifactType?: string;
  readonly annotations?: string;
  readonly bytes?: Buffer;
  /** A blob that each of them references. */
  readonly blob?: string;
}

/** Inserts manifests with the same content and arbitrary digests. */
export async function insertManifests(database: Database, crowd: Crowd): Promise<void> {
  const { repository, digests, subject = null, artifactType = null, annotations = null, blob } = crowd;
  const bytes = crowd.bytes ?? Buffer.from('{}');
  await database.transaction(async (db) => {
    const id = await findOrCreateRepository(db, repository as RepositoryName, 1);
    await sql`
      insert into manifests (repository_id, digest, media_type, bytes, size, created_at,
        subject_digest, artifact_type, rank, annotations, annotations_size)
      select ${sql.lit(id)}, value, 'application/vnd.oci.image.manifest.v1+json', ${bytes}, ${sql.lit(bytes.length)}, 1,
        ${subject}, ${artifactType}, ${sql.lit(referrerRank(artifactType))}, ${annotations},
        ${sql.lit(Buffer.byteLength(annotations ?? ''))}
      from ${each(db, digests)} where true on conflict do nothing
    `.execute(db);
    if (blob === undefined) return;
    await sql`
      insert into manifest_references (manifest_id, digest, kind, repository_id)
      select manifests.id, ${blob}, 'blob', manifests.repository_id from ${each(db, digests)}
      join manifests on manifests.repository_id = ${sql.lit(id)} and manifests.digest = given.value
      where true on conflict do nothing
    `.execute(db);
  });
}
