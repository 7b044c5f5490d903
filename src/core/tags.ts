import type { Database } from '../db/database.ts';
import { nextTurn } from '../db/next-turn.ts';
import { findRepository } from '../db/repositories.ts';
import { listTags } from '../db/tags.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import { checkIdentity } from './another-repository.ts';
import { type Page, type PageRequest, takePage } from './page.ts';

/**
 * A page of the repository's tags in byte order (end-8).
 * @param signal aborted when the client is gone
 * @throws RegistryError `NAME_UNKNOWN`; AnotherRepository; the signal's reason
 */
export async function listTagPage(
  { read }: Database,
  name: RepositoryName,
  request: PageRequest,
  repository?: number,
  signal?: AbortSignal,
): Promise<Page<string>> {
  await nextTurn(signal);
  if (repository !== undefined) checkIdentity(repository, await findRepository(read, name));
  const page = await takePage(request, (after, limit) => listTags(read, name, after, limit));
  if (page.items.length === 0 && (await findRepository(read, name)) === undefined) {
    throw new RegistryError('NAME_UNKNOWN', { name });
  }
  return page;
}
