import type { Permit } from '../access/permit.ts';
import { listRepositoryPage } from '../core/repositories.ts';
import type { Database } from '../db/database.ts';
import type { Exchange } from './exchange.ts';
import { nextLink, pageRequest } from './paging.ts';

const defaultPage = 100;
const maxPage = 10_000;

/** Docker's `_catalog`: lists all repositories that the caller may see. */
export async function listRepositories(
  database: Database,
  exchange: Exchange,
  { visible }: Permit,
  signal: AbortSignal,
): Promise<void> {
  const request = pageRequest(exchange, defaultPage, maxPage);
  const { names, next } = await listRepositoryPage(database, request, visible, signal);
  exchange.reply(
    200,
    {
      'Content-Type': 'application/json',
      ...(next !== undefined && { Link: nextLink('/v2/_catalog', request.n, next) }),
    },
    JSON.stringify({ repositories: names }),
  );
}
