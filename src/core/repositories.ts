import type { Database } from '../db/database.ts';
import { listRepositoryNames } from '../db/repositories.ts';
import { type Page, type PageRequest, takePage } from './page.ts';

/** A page of the names of all repositories that hold something, in byte order. */
export function listRepositoryPage({ read }: Database, request: PageRequest): Promise<Page<string>> {
  return takePage(request, (after, limit) => listRepositoryNames(read, after, limit));
}
