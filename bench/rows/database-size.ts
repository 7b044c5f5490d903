import { openPostgres } from '../../src/db/postgres/postgres.ts';
import { asAdministrator } from '../../test/support/postgres-server.ts';
import type { Bench, Row } from '../bench.ts';
import type { Line } from '../line.ts';
import { startPostgres } from '../services.ts';

/** Each seeded image has a config and nine layers. Five of these blobs are its own; the others are those of its base. */
const BLOBS = 10;
const OWN_BLOBS = 5;
const IMAGES_PER_REPOSITORY = 100;

/** The tables, each with a name for one of its rows. */
const TABLES = {
  blobs: 'blob',
  repository_blobs: 'blob in a repository',
  manifests: `manifest of ${BLOBS} blobs`,
  manifest_references: "manifest's reference to a blob",
  tags: 'tag',
} as const;

type Table = keyof typeof TABLES;
type Sizes = Readonly<Record<Table, number>>;

/** The bytes of each PostgreSQL row with its share of the indexes, after inserts in random order. */
export const databaseSize: Row = {
  name: 'database-size',
  async measure(bench) {
    // Measures once, because the same rows always take the same bytes.
    const sizes = await bytesPerRow(bench);
    return (Object.entries(TABLES) as [Table, string][]).map(
      ([table, row]): Line => ({
        columns: ['PostgreSQL'],
        title: `Size of each ${row}, with its indexes`,
        unit: 'bytes',
        better: 'lower',
        samples: { PostgreSQL: [sizes[table]] },
      }),
    );
  },
};

async function bytesPerRow(bench: Bench): Promise<Sizes> {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const database = await openPostgres({ url, poolSize: 2 });
  await database.close();
  return await asAdministrator(url, async (admin) => {
    for (const statement of seeding(bench.sizes.seededImages)) await admin.query(statement);
    await admin.query('vacuum analyze');
    const sizes: [Table, number][] = [];
    for (const table of Object.keys(TABLES) as Table[]) {
      const { rows } = await admin.query(
        `select pg_total_relation_size('${table}') / greatest(count(*), 1)::float8 as bytes from ${table}`,
      );
      sizes.push([table, rows[0].bytes]);
    }
    return Object.fromEntries(sizes) as Sizes;
  });
}

/** Inserts digests in random order, like real ones: an index that is filled in random order is a third empty. */
function seeding(images: number): string[] {
  const repositories = Math.ceil(images / IMAGES_PER_REPOSITORY);
  const digest = (text: string) => `'sha256:' || encode(sha256(convert_to(${text}, 'UTF8')), 'hex')`;
  // The first blobs of an image are its own; the rest are those of its repository's base.
  const blobName = `case when place < ${OWN_BLOBS} then 'blob' || image || '.' || place else 'base' || image % ${repositories} || '.' || place end`;
  return [
    `insert into repositories (name, created_at)
      select 'bench/r' || lpad(i::text, 7, '0'), 1 from generate_series(0, ${repositories - 1}) i`,
    `create temporary table contents as
      select image, place, ${digest(blobName)} as digest, r.id as repository_id
      from generate_series(0, ${images - 1}) image
      join repositories r on r.name = 'bench/r' || lpad((image % ${repositories})::text, 7, '0')
      cross join generate_series(0, ${BLOBS - 1}) place`,
    `insert into blobs (digest, size, generation, state, created_at, review_at)
      select distinct on (md5(digest)) digest, 31415926, 0, 'stored', 1795219200000, 1795219200000 + image from contents`,
    `insert into repository_blobs (repository_id, digest, created_at)
      select repository_id, digest, 1795219200000 from contents group by repository_id, digest order by md5(digest)`,
    `insert into manifests (repository_id, digest, media_type, bytes, size, created_at)
      select repository_id, ${digest("'manifest' || image")}, 'application/vnd.oci.image.manifest.v1+json', bytes,
        length(bytes), 1795219200000
      from (
        select image, repository_id, convert_to('{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":['
          || string_agg('{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' || digest
            || '","size":31415926}', ',' order by place) || ']}', 'UTF8') as bytes
        from contents group by image, repository_id
      ) as images`,
    `insert into manifest_references (manifest_id, digest, kind)
      select manifests.id, contents.digest, 'blob' from contents
      join manifests on manifests.repository_id = contents.repository_id and manifests.digest = ${digest("'manifest' || image")}`,
    `insert into tags (repository_id, name, manifest_id, updated_at)
      select repository_id, 'v1.' || id || '.0-' || substr(digest, 8, 7), id, 1795219200000 from manifests`,
  ];
}
