import type { Permit } from '../access/permit.ts';
import { listReferrerPage } from '../core/referrers.ts';
import type { Database } from '../db/database.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex } from '../oci/media-types.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Exchange } from './exchange.ts';
import { nextLink, pageRequest } from './paging.ts';

const defaultPage = 100;
const maxPage = 1_000;

/** end-12: always 200 with an index, empty when nothing refers to the digest. */
export async function listReferrers(
  database: Database,
  exchange: Exchange,
  { name, digest }: { name: RepositoryName; digest: Digest },
  { repository }: Permit,
): Promise<void> {
  const request = pageRequest(exchange, defaultPage, maxPage);
  // A bare plus means a space in a query, and no media type has a space: the client meant the plus.
  const artifactType = exchange.query.get('artifactType')?.replaceAll(' ', '+');
  const page = { ...request, artifactType };
  const { items, more } = await listReferrerPage(database, name, digest, page, repository);
  exchange.reply(
    200,
    {
      'Content-Type': ociImageIndex,
      ...(artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(more && {
        Link: nextLink(
          `/v2/${name}/referrers/${digest}`,
          request.n,
          items.at(-1)?.digest as string,
          artifactType === undefined ? {} : { artifactType },
        ),
      }),
    },
    JSON.stringify({ schemaVersion: 2, mediaType: ociImageIndex, manifests: items }),
  );
}
