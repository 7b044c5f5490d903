// Inserts rows directly into a database, as a million of them would take minutes through the API.
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../src/db/database.ts';
import type { Db } from '../src/db/prepare.ts';
import type { Seeded } from './bench.ts';
import { MANIFEST_TYPE, sha256 } from './load/push.ts';

/** The rows of one transaction, whose statements have to end within Berth's time limit. */
const BATCH = 25_000;

/** Repositories `bench/r0000000` …, each with one manifest tagged `latest`, and tags `t0000000` … of the first. */
export async function seed(database: Database, { tags, repositories }: Seeded): Promise<void> {
  const manifest = Buffer.from('{}');
  await inBatches(database, repositories, async (db, numbers) => {
    await sql`
      insert into repositories (name, created_at)
      select 'bench/r' || digits, 0 from ${numbers}`.execute(db);
    await sql`
      insert into manifests (repository_id, digest, media_type, bytes, size, created_at)
      select id, ${sha256(manifest)}, ${MANIFEST_TYPE}, ${manifest}, 2, 0
      from ${numbers} join repositories on name = 'bench/r' || digits`.execute(db);
    await sql`
      insert into tags (repository_id, name, manifest_id, updated_at)
      select repository_id, 'latest', manifests.id, 0
      from ${numbers} join repositories on name = 'bench/r' || digits
      join manifests on repository_id = repositories.id`.execute(db);
  });
  await inBatches(database, tags, (db, numbers) =>
    sql`
      insert into tags (repository_id, name, manifest_id, updated_at)
      select repository_id, 't' || digits, manifests.id, 0
      from ${numbers} cross join manifests
      where repository_id = (select id from repositories where name = 'bench/r0000000')`.execute(db),
  );
}

/** The digest of the blob `index` of {@link seedBlobs}; in the order of a hash, as real digests are. */
export function seededDigest(index: number): string {
  return sha256(Buffer.from(String(index)));
}

/** Inserts `count` stored blobs of 1 byte, all in the repository `bench/blobs`; their reviews are due since `reviewAt`, if not null. */
export async function seedBlobs(
  database: Database,
  count: number,
  { reviewAt }: { reviewAt: number | null },
): Promise<void> {
  await database.transaction((db) =>
    sql`insert into repositories (name, created_at) values ('bench/blobs', 1)`.execute(db),
  );
  for (let first = 0; first < count; first += BATCH) {
    const length = Math.min(BATCH, count - first);
    const digests = JSON.stringify(Array.from({ length }, (_, i) => seededDigest(first + i)));
    await database.transaction(async (db) => {
      await sql`
        insert into blobs (digest, size, generation, state, created_at, review_at)
        select value, 1, 0, 'stored', 1, 1 from json_each(${digests})`.execute(db);
      await sql`
        insert into repository_blobs (repository_id, digest, created_at, review_at)
        select repositories.id, value, 1, ${reviewAt} from repositories, json_each(${digests})
        where name = 'bench/blobs'`.execute(db);
    });
  }
}

/** Calls `insert` for each batch with a query of its numbers, as seven digits in the column `digits`, for both databases. */
async function inBatches(
  database: Database,
  count: number,
  insert: (db: Db, numbers: RawBuilder<unknown>) => Promise<unknown>,
): Promise<void> {
  for (let first = 0; first < count; first += BATCH) {
    const last = Math.min(first + BATCH, count) - 1;
    const numbers = sql`(
      with recursive numbers (number) as (
        select cast(${first} as integer) union all select number + 1 from numbers where number < ${last}
      )
      select substr(cast(10000000 + number as text), 2) as digits from numbers
    ) as numbers`;
    await database.transaction((db) => insert(db, numbers));
  }
}
