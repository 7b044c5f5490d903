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
 * end-12: always 200 with an index, empty when nothing refers to the digest. Without `n` all of it, as far as it is no larger
 * than a manifest may be: many clients read one page.
 */
export async function listReferrers(
  database: Database,
  exchange: Exchange,
  { name, digest }: { name: RepositoryName; digest: Digest },
  { repository }: Permit,
  signal: AbortSignal,
): Promise<void> {
  const { n, last } = pageRequest(exchange, undefined, maxPage);
  // A bare plus means a space in a query, and no media type has a space: the client meant the plus.
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

/** As `last` of a `Link` has it. */
function printKey({ rank, digest }: ReferrerKey): string {
  return `${rank}.${digest}`;
}

function parseKey(last: string): ReferrerKey {
  const [, rank, digest] = /^(\d)\.(.{0,200})$/s.exec(last) ?? [];
  return rank === undefined || digest === undefined
    ? { rank: 0, digest: last }
    : { rank: Number(rank), digest };
}
