import type { Database } from '../db/database.ts';
import { findManifestByTag, findManifestContent } from '../db/manifests.ts';
import type { Db } from '../db/prepare.ts';
import { findReferrer, listReferrers, type ReferrerRow } from '../db/referrers.ts';
import { findRepository } from '../db/repositories.ts';
import type { Digest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { fallbackTag, parseTag } from '../oci/reference.ts';
import { checkIdentity } from './another-repository.ts';
import type { Page, PageRequest } from './page.ts';

/** A descriptor of the referrers listing (end-12). */
export interface Referrer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A page ends after so many bytes, however few descriptors that are: annotations may be megabytes each. */
const maxPageBytes = 1 << 20;
/** Rows read at a time, for the same reason. */
const batch = 10;

/**
 * What refers to `subject` in this repository, by digest. Manifests that name it come from an index of the database; those
 * that an old client only listed under the fallback tag count too. An unknown repository has no referrers.
 * @param meant which repository of that name is meant, if it is known
 * @throws AnotherRepository
 */
export async function listReferrerPage(
  { read }: Database,
  name: RepositoryName,
  subject: Digest,
  request: PageRequest & { artifactType?: string | undefined },
  meant?: number,
): Promise<Page<Referrer>> {
  const repository = await findRepository(read, name);
  checkIdentity(meant, repository);
  if (repository === undefined) return { items: [], more: false };
  const { artifactType } = request;
  // No manifest has such a type (see `oci/manifest.ts`), and PostgreSQL takes no NUL in a text.
  if (artifactType?.includes('\0')) return { items: [], more: false };
  const listed = await listedByFallbackTag(read, name, subject);
  const list = async (after: string): Promise<ReferrerRow[]> => {
    const page = { after, limit: batch, artifactType };
    const rows = await listReferrers(read, repository, subject, page);
    if (listed.length === 0) return rows;
    return merge(rows, await rowsOf(read, repository, listed, page)).slice(0, batch);
  };

  const items: Referrer[] = [];
  let bytes = 0;
  for (let after = request.last; request.n > 0; after = items.at(-1)?.digest as string) {
    const rows = await list(after);
    for (const row of rows) {
      bytes += row.annotations?.length ?? 0;
      if (items.length === request.n || (bytes > maxPageBytes && items.length > 0))
        return { items, more: true };
      items.push(asReferrer(row));
    }
    if (rows.length < batch) break;
  }
  return { items, more: false };
}

async function listedByFallbackTag(db: Db, name: RepositoryName, subject: Digest): Promise<Digest[]> {
  const row = await findManifestByTag(db, name, parseTag(fallbackTag(subject)));
  const content = row && (await findManifestContent(db, row.id));
  if (content === undefined) return [];
  const { children } = parseManifest(content.bytes, content.media_type);
  return [...new Set(children.map((child) => child.digest))].sort();
}

async function rowsOf(
  db: Db,
  repository: number,
  digests: readonly Digest[],
  { after, limit, artifactType }: { after: string; limit: number; artifactType: string | undefined },
): Promise<ReferrerRow[]> {
  const rows: ReferrerRow[] = [];
  for (const digest of digests) {
    if (digest <= after || rows.length === limit) continue;
    const row = await findReferrer(db, repository, digest);
    if (row && (artifactType === undefined || row.artifact_type === artifactType)) rows.push(row);
  }
  return rows;
}

function merge(rows: readonly ReferrerRow[], extra: readonly ReferrerRow[]): ReferrerRow[] {
  const byDigest = new Map([...rows, ...extra].map((row) => [row.digest, row]));
  return [...byDigest.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

function asReferrer(row: ReferrerRow): Referrer {
  return {
    mediaType: row.media_type,
    digest: row.digest,
    size: row.size,
    ...(row.artifact_type !== null && { artifactType: row.artifact_type }),
    ...(row.annotations !== null && { annotations: JSON.parse(row.annotations) as Record<string, string> }),
  };
}
