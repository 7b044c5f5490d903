import type { Digest } from '../oci/digest.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** A manifest as a referrers listing shows it. */
export interface ReferrerRow {
  readonly digest: string;
  readonly media_type: string;
  readonly size: number;
  readonly artifact_type: string | null;
  readonly annotations: string | null;
}

const columns = ['digest', 'media_type', 'size', 'artifact_type', 'annotations'] as const;

interface PageOfSubject {
  repository: number;
  subject: string;
  after: string;
  limit: number;
}

const selectPage = prepare((db, p: Params<PageOfSubject>) =>
  db
    .selectFrom('manifests')
    .select(columns)
    .where('repository_id', '=', p('repository'))
    .where('subject_digest', '=', p('subject'))
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
);

const selectPageOfType = prepare((db, p: Params<PageOfSubject & { artifactType: string }>) =>
  db
    .selectFrom('manifests')
    .select(columns)
    .where('repository_id', '=', p('repository'))
    .where('subject_digest', '=', p('subject'))
    .where('artifact_type', '=', p('artifactType'))
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
);

/** Manifests of the repository whose `subject` is `subject`, by digest, after `page.after`. */
export function listReferrers(
  db: Db,
  repository: number,
  subject: Digest,
  page: { after: string; limit: number; artifactType?: string | undefined },
): Promise<ReferrerRow[]> {
  const { after, limit, artifactType } = page;
  return artifactType === undefined
    ? selectPage(db, { repository, subject, after, limit })
    : selectPageOfType(db, { repository, subject, after, limit, artifactType });
}

const selectOne = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  db
    .selectFrom('manifests')
    .select(columns)
    .where('repository_id', '=', p('repository'))
    .where('digest', '=', p('digest')),
);

/** The same view of one manifest, for those that an old fallback tag lists. */
export async function findReferrer(
  db: Db,
  repository: number,
  digest: Digest,
): Promise<ReferrerRow | undefined> {
  return (await selectOne(db, { repository, digest }))[0];
}
