import type { Database } from '../db/database.ts';
import { findManifestByTag, findManifestContent } from '../db/manifests.ts';
import type { Db } from '../db/prepare.ts';
import { findReferrer, listReferrers, type ReferrerRow } from '../db/referrers.ts';
import { findRepository } from '../db/repositories.ts';
import type { Digest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { fallbackTag, parseTag } from '../oci/reference.ts';
import { type Page, type PageRequest, takePage } from './page.ts';

/** A descriptor of the referrers listing (end-12). */
export interface Referrer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * What refers to `subject` in this repository, by digest. Manifests that name it come from an index of the database; those
 * that an old client only listed under the fallback tag count too. An unknown repository has no referrers.
 */
export async function listReferrerPage(
  { read }: Database,
  name: RepositoryName,
  subject: Digest,
  request: PageRequest & { artifactType?: string | undefined },
): Promise<Page<Referrer>> {
  const repository = await findRepository(read, name);
  if (repository === undefined) return { items: [], more: false };
  const { artifactType } = request;
  const listed = await listedByFallbackTag(read, name, subject);
  const page = await takePage(request, async (after, limit) => {
    const rows = await listReferrers(read, repository, subject, { after, limit, artifactType });
    if (listed.length === 0) return rows;
    const extra = await rowsOf(read, repository, listed, { after, limit, artifactType });
    return merge(rows, extra).slice(0, limit);
  });
  return { items: page.items.map(asReferrer), more: page.more };
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
