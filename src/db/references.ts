import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { inJsonIds } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** A reference of a manifest, as the repository holds it. */
export interface HeldReference {
  readonly manifest_id: number;
  readonly digest: Digest;
  readonly kind: 'blob' | 'child';
  /** Row id of the child manifest; null for a blob, and for a child that the repository does not hold. */
  readonly child: number | null;
  /** Bytes of the blob of this digest; null if there is none. */
  readonly size: number | null;
}

type Position = Pick<HeldReference, 'manifest_id' | 'digest' | 'kind'>;

const selectPage = prepare(
  (
    db,
    p: Params<{
      repository: number;
      ids: string;
      manifest: number;
      digest: string;
      kind: string;
      limit: number;
    }>,
  ) =>
    db
      .selectFrom('manifest_references as needed')
      .leftJoin('manifests as child', (join) =>
        join
          .onRef('child.digest', '=', 'needed.digest')
          .on('child.repository_id', '=', p('repository'))
          .on('needed.kind', '=', sql.lit('child')),
      )
      .leftJoin('blobs', 'blobs.digest', 'needed.digest')
      .select(['needed.manifest_id', 'needed.digest', 'needed.kind', 'child.id as child', 'blobs.size'])
      .where('needed.manifest_id', 'in', inJsonIds(db, p('ids')))
      .where(
        sql<boolean>`(needed.manifest_id, needed.digest, needed.kind) > (${p('manifest')}, ${p('digest')}, ${p('kind')})`,
      )
      .orderBy('needed.manifest_id')
      .orderBy('needed.digest')
      .orderBy('needed.kind')
      .limit(p('limit')),
);

/** References of these manifests of one repository after a position, ordered by manifest, digest and kind, at most `limit`. */
export function listReferences(
  db: Db,
  repository: number,
  manifests: readonly number[],
  after: Position | undefined,
  limit: number,
): Promise<HeldReference[]> {
  const { manifest_id: manifest, digest, kind } = after ?? { manifest_id: 0, digest: '', kind: '' };
  const ids = JSON.stringify(manifests.filter((id) => id >= manifest));
  return selectPage(db, { repository, ids, manifest, digest, kind, limit }) as Promise<HeldReference[]>;
}
