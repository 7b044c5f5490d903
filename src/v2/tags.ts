import type { Permit } from '../access/permit.ts';
import { listTagPage } from '../core/tags.ts';
import type { Database } from '../db/database.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Exchange } from './exchange.ts';
import { nextLink, pageRequest } from './paging.ts';

const maxPage = 10_000;

/** end-8: without `n` a page has the maximum size, which is the whole list of nearly every repository. */
export async function listTags(
  database: Database,
  exchange: Exchange,
  { name }: { name: RepositoryName },
  { repository }: Permit,
  signal: AbortSignal,
): Promise<void> {
  const request = pageRequest(exchange, maxPage, maxPage);
  const { items, more } = await listTagPage(database, name, request, repository, signal);
  exchange.reply(
    200,
    {
      'Content-Type': 'application/json',
      ...(more && { Link: nextLink(`/v2/${name}/tags/list`, request.n, items.at(-1) as string) }),
    },
    JSON.stringify({ name, tags: items }),
  );
}
