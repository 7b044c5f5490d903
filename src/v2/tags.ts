import type { Permit } from '../access/permit.ts';
import { listTagPage } from '../core/tags.ts';
import type { Answer } from '../http/answer.ts';
import type { HttpRequest } from '../http/request.ts';
import { buildList } from './build-list.ts';
import type { HandlerParts } from './handler.ts';
import { nextLink, pageRequest } from './paging.ts';
import { pathOf, type RouteOf } from './routes.ts';

const maxPage = 10_000;

/** end-8: without `n` a page has the maximum size, which is the whole list of nearly every repository. */
export function listTags(
  { database }: HandlerParts,
  request: HttpRequest,
  route: RouteOf<'listTags'>,
  { repository }: Permit,
): Promise<Answer> {
  const { name, alias = name } = route;
  return buildList(request, async (closed) => {
    const page = pageRequest(request, maxPage, maxPage);
    const { items, more } = await listTagPage(database, name, page, repository, closed);
    return {
      status: 200,
      headers: {
        'Content-Type': 'application/json',
        ...(more && { Link: nextLink(`${pathOf(route)}/tags/list`, page.n, items.at(-1) as string) }),
      },
      body: JSON.stringify({ name: alias, tags: items }),
    };
  });
}
