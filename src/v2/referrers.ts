import type { Permit } from '../access/permit.ts';
import { listReferrerPage } from '../core/referrers.ts';
import type { ReferrerKey } from '../db/referrers.ts';
import type { Answer } from '../http/answer.ts';
import type { HttpRequest } from '../http/request.ts';
import { ociImageIndex } from '../oci/media-types.ts';
import { buildList } from './build-list.ts';
import type { HandlerParts } from './handler.ts';
import { nextLink, pageRequest } from './paging.ts';
import { pathOf, type RouteOf } from './routes.ts';

/**
 * end-12: always 200 with an index, which is empty when the digest has no referrers. Without `n` a page is as large as a manifest
 * may be: many clients read only one page.
 */
export function listReferrers(
  { database }: HandlerParts,
  request: HttpRequest,
  route: RouteOf<'listReferrers'>,
  { repository }: Permit,
): Promise<Answer> {
  const { name, digest } = route;
  return buildList(request, async (closed) => {
    const { n, last } = pageRequest(request, undefined, maxPage);
    // A bare plus in a query decodes to a space, which no media type contains: the client meant the plus.
    const artifactType = request.query.get('artifactType')?.replaceAll(' ', '+');
    const page = { n, after: parseKey(last), artifactType, signal: closed };
    const { descriptors, next } = await listReferrerPage(database, name, digest, page, repository);
    const filter = artifactType === undefined ? {} : { artifactType };
    return {
      status: 200,
      headers: {
        'Content-Type': ociImageIndex,
        ...(artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
        ...(next && { Link: nextLink(`${pathOf(route)}/referrers/${digest}`, n, printKey(next), filter) }),
      },
      body: `{"schemaVersion":2,"mediaType":"${ociImageIndex}","manifests":[${descriptors.join(',')}]}`,
    };
  });
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
