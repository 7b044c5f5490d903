// Which bytes a repository, a namespace or an image needs alone. Counted when they are shown, in slices.
import { type RawBuilder, sql } from 'kysely';
import { inJsonIds, inJsonList } from './dialect.ts';
import { type Db, first, prepare } from './prepare.ts';
import { sliceSize } from './slices.ts';

interface Slice {
  /** The last digest of the slice; null: there are no more. */
  readonly last: string | null;
  readonly bytes: number;
}

type SliceQuery<P> = (db: Db, p: P & { after: string; limit: number }) => Promise<Slice[]>;

/** Sums the bytes of the slice's blobs for which `alone` holds. */
function sliceOf<P extends object>(
  table: string,
  owner: (p: (name: keyof P & string) => RawBuilder<unknown>) => RawBuilder<unknown>,
  alone: RawBuilder<unknown>,
): SliceQuery<P> {
  return prepare<P & { after: string; limit: number }, Slice>((db, p) => {
    const query = sql<Slice>`
      select max(slice.digest) as last,
        cast(coalesce(sum(case when ${alone} then blobs.size else 0 end), 0) as bigint) as bytes
      from (
        select * from ${sql.table(table)} where ${owner((name) => sql`${p(name)}`)} and digest > ${p('after')}
        order by digest limit ${p('limit')}
      ) as slice join blobs on blobs.digest = slice.digest`;
    return { compile: () => query.compile(db) };
  });
}

const ofRepository = sliceOf<{ id: number }>(
  'repository_blobs',
  (p) => sql`repository_id = ${p('id')}`,
  sql`not exists (
    select 1 from repository_blobs as other
    where other.digest = slice.digest and other.repository_id <> slice.repository_id
  )`,
);

const ofNamespace = sliceOf<{ namespace: string }>(
  'namespace_blobs',
  (p) => sql`namespace = ${p('namespace')}`,
  // All links of the blob are of this namespace.
  sql`slice.links = (select count(*) from repository_blobs as link where link.digest = slice.digest)`,
);

async function sumSlices(
  next: (after: string) => Promise<Slice[]>,
  pause: () => Promise<void>,
): Promise<number> {
  let bytes = 0;
  for (let after = ''; ; ) {
    const slice = await first(next(after));
    if (slice === undefined || slice.last === null) return bytes;
    bytes += slice.bytes;
    after = slice.last;
    await pause();
  }
}

/** Bytes of the blobs that no other repository holds. @param pause called between slices */
export function repositoryBytesAlone(db: Db, id: number, pause: () => Promise<void>): Promise<number> {
  return sumSlices((after) => ofRepository(db, { id, after, limit: sliceSize }), pause);
}

/** Bytes of the blobs that no repository of another namespace holds. @param pause called between slices */
export function namespaceBytesAlone(db: Db, namespace: string, pause: () => Promise<void>): Promise<number> {
  return sumSlices((after) => ofNamespace(db, { namespace, after, limit: sliceSize }), pause);
}

const selectKept = prepare<{ ids: string; gone: string; tags: number }, { id: number }>((db, p) => {
  const query = sql<{ id: number }>`
    select id from manifests where id in ${inJsonIds(db, p('ids'))} and (
      (select count(*) from (
        select 1 from tags where tags.manifest_id = manifests.id limit 2
      ) as tagged) > ${p('tags')}
      or exists (
        select 1 from manifest_references as parent
        where parent.digest = manifests.digest and parent.repository_id = manifests.repository_id
          and parent.kind = 'child' and parent.manifest_id not in ${inJsonIds(db, p('gone'))}
      )
    )`;
  return { compile: () => query.compile(db) };
});

/**
 * Which manifests something else needs: more than `tags` tags, or an index that is not in `gone`.
 * @param gone ids of manifests of the same repository
 */
export async function manifestsKept(
  db: Db,
  ids: readonly number[],
  gone: readonly number[],
  tags: 0 | 1,
): Promise<Set<number>> {
  const rows = await selectKept(db, { ids: JSON.stringify(ids), gone: JSON.stringify(gone), tags });
  return new Set(rows.map(({ id }) => id));
}

/** Bytes that a repository needs only for some manifests, and those of them that no other repository holds. */
export interface BytesAlone {
  readonly exclusive: number;
  readonly frees: number;
}

const sumAlone = prepare<{ repository: number; digests: string; gone: string }, BytesAlone>((db, p) => {
  const query = sql<BytesAlone>`
    select cast(coalesce(sum(size), 0) as bigint) as exclusive,
      cast(coalesce(sum(case when exists (
        select 1 from repository_blobs as other
        where other.digest = blobs.digest and other.repository_id <> ${p('repository')}
      ) then 0 else size end), 0) as bigint) as frees
    from blobs where digest in ${inJsonList(db, p('digests'))} and not exists (
      select 1 from manifest_references as needed
      where needed.digest = blobs.digest and needed.repository_id = ${p('repository')}
        and needed.manifest_id not in ${inJsonIds(db, p('gone'))}
    )`;
  return { compile: () => query.compile(db) };
});

/** The bytes of those of the blobs that no manifest of the repository needs, except `gone`. */
export async function blobsAlone(
  db: Db,
  repository: number,
  digests: readonly string[],
  gone: readonly number[],
): Promise<BytesAlone> {
  const asked = { repository, digests: JSON.stringify(digests), gone: JSON.stringify(gone) };
  return (await first(sumAlone(db, asked))) as BytesAlone;
}
