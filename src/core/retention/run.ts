// Finds the policies of repositories, and applies them.
import type { RetentionPolicy } from '../../config/retention-policy.ts';
import type { Actor } from '../../db/changes.ts';
import { type Database, DatabaseUnavailable, ReadOnlyRegistry } from '../../db/database.ts';
import { nextTurn } from '../../db/next-turn.ts';
import type { Db } from '../../db/prepare.ts';
import { findProperty } from '../../db/properties.ts';
import { listRepositories } from '../../db/retention.ts';
import { nearestPolicies, type PolicyRow } from '../../db/retention-policies.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { TagRule } from '../../oci/tag-rule.ts';
import type { DeletionRules } from '../delete-image.ts';
import { removerOf } from './remove.ts';
import { type RetentionTerms, retain } from './retain.ts';

/** A repository with the policy that applies to it. */
export interface Governed {
  readonly id: number;
  readonly name: RepositoryName;
  readonly policy: RetentionPolicy;
  readonly from: Pick<PolicyRow, 'level' | 'name'>;
}

/** `namespace acme`, or `the registry`. */
export function printOwner({ level, name }: Governed['from']): string {
  return name === null ? 'the registry' : `${level} ${name}`;
}

const pageSize = 500;

/** The repositories with a policy whose names begin with a prefix, such as `acme/`, in byte order. */
export async function* governedRepositories(
  db: Db,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<Governed> {
  for (let after = ''; ; await nextTurn(signal)) {
    const page = await listRepositories(db, prefix, after, pageSize);
    yield* await governed(db, page);
    if (page.length < pageSize) return;
    after = page.at(-1)?.name as string;
  }
}

/** Those of these repositories that have a policy. */
export async function governed(
  db: Db,
  repositories: readonly { readonly id: number; readonly name: RepositoryName }[],
): Promise<Governed[]> {
  const names = repositories.map(({ name }) => name);
  const policies = await nearestPolicies(db, names);
  return repositories.flatMap(({ id, name }) => {
    const row = policies.get(name);
    if (row === undefined) return [];
    return [{ id, name, policy: JSON.parse(row.policy), from: { level: row.level, name: row.name } }];
  });
}

/** The terms of a run that removes nothing. @param keepMovesFor milliseconds for which moves of tags are kept */
export async function termsOf(
  { read, clock }: Pick<Database, 'read' | 'clock'>,
  immutableTags: readonly TagRule[],
  keepMovesFor: number,
): Promise<RetentionTerms> {
  const now = clock();
  const pullsSince = Number((await findProperty(read, 'pulls-since')) ?? now);
  return { read, immutableTags, now, pullsSince, movesSince: now - keepMovesFor };
}

export interface RunParts {
  readonly database: Database;
  readonly deletions: DeletionRules;
  /** Milliseconds for which moves of tags are kept. */
  readonly keepMovesFor: number;
  readonly by: Actor;
}

/** What a run removed. */
export interface Retained {
  /** Repositories with a policy. */
  repositories: number;
  tags: number;
  manifests: number;
}

/**
 * Removes what the policies of these repositories do not keep. May be stopped at any point, and run by several processes at once. A
 * failure in one repository does not stop the others.
 * @throws AggregateError at the end if repositories failed; the signal's reason
 */
export async function runRetention(
  parts: RunParts,
  repositories: AsyncIterable<Governed> | Iterable<Governed>,
  signal?: AbortSignal,
): Promise<Retained> {
  const { database, deletions, by } = parts;
  const terms = { ...(await termsOf(database, deletions.immutableTags, parts.keepMovesFor)), signal };
  const retained = { repositories: 0, tags: 0, manifests: 0 };
  const failures: unknown[] = [];
  for await (const repository of repositories) {
    retained.repositories += 1;
    const remover = removerOf({ database, deletions, by }, repository, printOwner(repository.from));
    try {
      for await (const { kind, removed } of retain({ ...terms, remover }, repository, repository.policy)) {
        if (!removed) continue;
        retained[kind === 'tag' ? 'tags' : 'manifests'] += 1;
        signal?.throwIfAborted();
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ReadOnlyRegistry || error instanceof DatabaseUnavailable) throw error;
      failures.push(new Error(`${repository.name}: ${(error as Error).message}`, { cause: error }));
      if (failures.length === maxFailures) break;
    }
  }
  if (failures.length === 0) return retained;
  const message = `retention failed in ${failures.length} repositories; the first error: ${(failures[0] as Error).message}`;
  throw new AggregateError(failures, message);
}

/** After so many, each repository probably fails. */
const maxFailures = 100;
