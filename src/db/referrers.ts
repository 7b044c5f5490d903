import type { Digest } from '../oci/digest.ts';
import { inJsonIds } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import { inSlices, sliceSize } from './slices.ts';

/** A manifest in a referrers listing, without its annotations, which may be megabytes. */
export interface ReferrerRow {
  readonly id: number;
  readonly rank: number;
  readonly digest: string;
  readonly media_type: string;
  readonly size: number;
  readonly artifact_type: string | null;
  /** Bytes of the annotations; 0 if there are none. */
  readonly annotations_size: number;
}

/** A position in the listing, which is sorted by rank (see `oci/referrer-rank.ts`) and digest. */
export type ReferrerKey = Pick<ReferrerRow, 'rank' | 'digest'>;

export function compareKeys(a: ReferrerKey, b: ReferrerKey): number {
  if (a.rank !== b.rank) return a.rank - b.rank;
  return a.digest === b.digest ? 0 : a.digest < b.digest ? -1 : 1;
}

const columns = [
  'manifests.id',
  'manifests.rank',
  'manifests.digest',
  'manifests.media_type',
  'manifests.size',
  'manifests.artifact_type',
  'manifests.annotations_size',
] as const;

interface PageOfSubject {
  repository: number;
  subject: string;
  rank: number;
  digest: string;
  limit: number;
}

const selectPage = prepare((db, p: Params<PageOfSubject>) =>
  db
    .selectFrom('manifests')
    .select(columns)
    .where('repository_id', '=', p('repository'))
    .where('subject_digest', '=', p('subject'))
    .where(({ eb, refTuple, tuple }) => eb(refTuple('rank', 'digest'), '>', tuple(p('rank'), p('digest'))))
    .orderBy('rank')
    .orderBy('digest')
    .limit(p('limit')),
);

const selectPageOfType = prepare((db, p: Params<Omit<PageOfSubject, 'rank'> & { artifactType: string }>) =>
  db
    .selectFrom('manifests')
    .select(columns)
    .where('repository_id', '=', p('repository'))
    .where('subject_digest', '=', p('subject'))
    .where('artifact_type', '=', p('artifactType'))
    .where('digest', '>', p('digest'))
    .orderBy('digest')
    .limit(p('limit')),
);

/** Manifests of the repository with this subject after `after`, at most `limit`. Those of one artifact type have the same rank. */
export function listReferrers(
  db: Db,
  repository: number,
  subject: Digest,
  { after, limit, artifactType }: { after: ReferrerKey; limit: number; artifactType?: string | undefined },
): Promise<ReferrerRow[]> {
  const { rank, digest } = after;
  return artifactType === undefined
    ? selectPage(db, { repository, subject, rank, digest, limit })
    : selectPageOfType(db, { repository, subject, digest, limit, artifactType });
}

const selectChildren = prepare(
  (db, p: Params<{ index: number; repository: number; after: string; limit: number }>) =>
    db
      .selectFrom('manifest_references')
      .innerJoin('manifests', 'manifests.digest', 'manifest_references.digest')
      .select([...columns, 'manifests.subject_digest'])
      .where('manifest_references.manifest_id', '=', p('index'))
      .where('manifest_references.kind', '=', 'child')
      .where('manifest_references.digest', '>', p('after'))
      .where('manifests.repository_id', '=', p('repository'))
      .orderBy('manifest_references.digest')
      .limit(p('limit')),
);

/** The next page of an index's manifests that the repository holds, with their subjects; by digest. */
export function listChildren(
  db: Db,
  repository: number,
  index: number,
  after: string,
): Promise<(ReferrerRow & { readonly subject_digest: string | null })[]> {
  return selectChildren(db, { index, repository, after, limit: sliceSize });
}

const selectAnnotations = prepare((db, p: Params<{ ids: string }>) =>
  db
    .selectFrom('manifests')
    .select(['id', 'annotations'])
    .where('id', 'in', inJsonIds(db, p('ids'))),
);

/** Annotations of these manifests, as JSON objects, by manifest id. */
export async function findAnnotations(db: Db, ids: readonly number[]): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  await inSlices(ids, async (slice) => {
    for (const { id, annotations } of await selectAnnotations(db, { ids: JSON.stringify(slice) })) {
      if (annotations !== null) found.set(id, annotations);
    }
  });
  return found;
}
