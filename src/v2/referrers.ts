import type { Permit } from '../access/permit.ts';
import { listReferrerPage } from '../core/referrers.ts';
import type { Database } from '../db/database.ts';
import type { ReferrerKey } from '../db/referrers.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex } from '../oci/media-types.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Exchange } from './exchange.ts';
import { nextLink, pageRequest } from './paging.ts';

/**
 * end-12: always 200 with an index, which is empty when the digest has no referrers. Without `n` a page is as large as a manifest
 * may be: many clients read only one page.
 */
export async function listReferrers(
  database: Database,
  exchange: Exchange,
  { name, digest }: { name: RepositoryName; digest: Digest },
  { repository }: Permit,
  signal: AbortSignal,
): Promise<void> {
  const { n, last } = pageRequest(exchange, undefined, maxPage);
  // A bare plus in a query decodes to a space, which no media type contains: the client meant the plus.
  const artifactType = exchange.query.get('artifactType')?.replaceAll(' ', '+');
  const request = { n, after: parseKey(last), artifactType, signal };
  const { descriptors, next } = await listReferrerPage(database, name, digest, request, repository);
  exchange.reply(
    200,
    {
      'Content-Type': ociImageIndex,
      ...(artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(next && {
        Link: nextLink(
          `/v2/${name}/referrers/${digest}`,
          n,
          printKey(next),
          artifactType === undefined ? {} : { artifactType },
        ),
      }),
    },
    `{"schemaVersion":2,"mediaType":"${ociImageIndex}","manifests":[${descriptors.join(',')}]}`,
  );
}

const maxPage = 10_000;

/** The key as `last` of a `Link`. */
function printKey({ rank, digest }: ReferrerKey): string {
  return `${rank}.${digest}`;
}

function parseKey(last: string): ReferrerKey {
  const [, rank, digest] = /^(\d)\.(.{0,200})$/s.exec(last) ?? [];
  return rank === undefined || digest === undefined
    ? { rank: 0, digest: last }
    : { rank: Number(rank), digest };
}
