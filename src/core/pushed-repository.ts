import type { Db } from '../db/prepare.ts';
import { lockRepositoryShared, repositoryNames } from '../db/repositories.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import { addRepository, type QuotaDefaults } from './quotas.ts';

/**
 * The id of the repository for a push, which creates it if it does not exist; with the lock of `lockRepositoryShared`. A push that was
 * authorized for a repository which was renamed or deleted into the trash since must not create a second one with its name.
 *
 * @param authorized id of the repository that the caller was authorized for; `undefined`: there was none
 * @throws RegistryError `UNAVAILABLE`, and the repeated request is authorized under the new name; `DENIED` if the namespace may not
 *   have another repository
 */
export async function findOrCreatePushed(
  db: Db,
  quotas: QuotaDefaults,
  name: RepositoryName,
  authorized: number | undefined,
  now: number,
): Promise<number> {
  const found = await lockRepositoryShared(db, name);
  if (found !== undefined) return found;
  if (authorized !== undefined && (await repositoryNames(db, [authorized])).size > 0) {
    throw new RegistryError(
      'UNAVAILABLE',
      `repository ${name} was renamed or deleted during the request; send it again`,
    );
  }
  return addRepository(db, quotas, name, now);
}
