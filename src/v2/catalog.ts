import { listRepositoryPage } from '../core/repositories.ts';
import type { Database } from '../db/database.ts';
import type { Exchange } from './exchange.ts';
import { nextLink, pageRequest } from './paging.ts';

const defaultPage = 100;
const maxPage = 10_000;

/** Docker's listing of all repositories. */
export async function listRepositories(database: Database, exchange: Exchange): Promise<void> {
  const request = pageRequest(exchange, defaultPage, maxPage);
  const { items, more } = await listRepositoryPage(database, request);
  exchange.reply(
    200,
    {
      'Content-Type': 'application/json',
      ...(more && { Link: nextLink(exchange, request.n, items.at(-1) as string) }),
    },
    JSON.stringify({ repositories: items }),
  );
}
