import type { Permit } from '../access/permit.ts';
import { listRepositoryPage } from '../core/repositories.ts';
import type { Answer } from '../http/answer.ts';
import type { HttpRequest } from '../http/request.ts';
import { buildList } from './build-list.ts';
import type { HandlerParts } from './handler.ts';
import { nextLink, pageRequest } from './paging.ts';
import type { RouteOf } from './routes.ts';

const defaultPage = 100;
const maxPage = 10_000;

/** Docker's `_catalog`: lists all repositories that the caller may see. */
export function listRepositories(
  { database }: HandlerParts,
  request: HttpRequest,
  _route: RouteOf<'listRepositories'>,
  { visible }: Permit,
): Promise<Answer> {
  return buildList(request, async (closed) => {
    const page = pageRequest(request, defaultPage, maxPage);
    const { names, next } = await listRepositoryPage(database, page, visible, closed);
    return {
      status: 200,
      headers: {
        'Content-Type': 'application/json',
        ...(next !== undefined && { Link: nextLink('/v2/_catalog', page.n, next) }),
      },
      body: JSON.stringify({ repositories: names }),
    };
  });
}
