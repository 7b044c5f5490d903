// Renames repositories, and manages the aliases that keep their former names working.
import { Refused } from '../access/refused.ts';
import type { QuotaDefaults } from '../core/quotas.ts';
import { renameRepository } from '../core/rename-repository.ts';
import type { Database } from '../db/database.ts';
import { type GrantRow, listGrants } from '../db/grants.ts';
import { findRepository, repositoryNames } from '../db/repositories.ts';
import { type AliasRow, deleteAlias, listAliases } from '../db/repository-aliases.ts';
import { originalName } from '../oci/hidden-name.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { type ActingDatabase, recording } from './change.ts';
import { everyRow } from './every-row.ts';
import { namingForce, parseRepositoryName } from './repositories.ts';

export interface RenameOptions {
  /** Milliseconds for which the former name stays as an alias; 0: no alias. */
  readonly aliasFor: number;
  /** The configured tag rules. */
  readonly configured: readonly TagRule[];
  /** The configured quotas. */
  readonly quotas: QuotaDefaults;
  /** Whether to rename a repository that has immutable tags. */
  readonly force: boolean;
}

export interface Renamed {
  readonly from: RepositoryName;
  readonly to: RepositoryName;
  /** When the alias expires, in milliseconds since 1970; `undefined`: there is none. */
  readonly aliasUntil: number | undefined;
  /** Grants for exactly the former name: they do not apply to the new one. */
  readonly grants: readonly GrantRow[];
}

/** @throws Refused */
export async function rename(
  database: ActingDatabase,
  oldName: string,
  newName: string,
  { aliasFor, configured, quotas, force }: RenameOptions,
): Promise<Renamed> {
  const [from, to] = [parseRepositoryName(oldName), parseRepositoryName(newName)];
  if (from === to) throw new Refused(`the repository already has the name ${to}`);
  return recording(database, async (db, record) => {
    const now = database.clock();
    const id = await findRepository(db, from);
    if (id === undefined) throw new Refused(`there is no repository ${from}`);
    if ((await findRepository(db, to)) !== undefined) {
      throw new Refused(
        `there is already a repository ${to}; choose another name, or rename or delete it first`,
      );
    }
    const unlessImmutable = force ? undefined : configured;
    const rename = renameRepository(db, { id, from, to, aliasFor, unlessImmutable, quotas }, now);
    const renamed = await namingForce(rename, from, 'rename');
    if (!renamed) throw new Refused(`there is no repository ${from}`);
    const aliasUntil = aliasFor > 0 ? now + aliasFor : undefined;
    const detail = {
      from,
      ...(aliasUntil !== undefined && { aliasUntil: new Date(aliasUntil).toISOString() }),
    };
    await record('repository.rename', detail, { repository: to, repositoryId: id });
    return { from, to, aliasUntil, grants: await listGrants(db, { pattern: from }) };
  });
}

/** All unexpired aliases in byte order. */
export function allAliases({ read, clock }: Pick<Database, 'read' | 'clock'>): Promise<AliasRow[]> {
  return everyRow((after, limit) => listAliases(read, after, limit, clock()));
}

/** Returns the repository's name. @throws Refused */
export async function removeAlias(database: ActingDatabase, text: string): Promise<string> {
  const alias = parseRepositoryName(text);
  return recording(database, async (db, record) => {
    const repositoryId = await deleteAlias(db, alias);
    if (repositoryId === undefined) throw new Refused(`there is no alias ${alias}`);
    // Hidden while the repository is in the trash.
    const repository = originalName((await repositoryNames(db, [repositoryId])).get(repositoryId) as string);
    await record('alias.delete', { alias }, { repository, repositoryId });
    return repository;
  });
}
