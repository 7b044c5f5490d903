// Removes what a retention policy does not keep, unless it changed or was used since it was judged.
import type { Actor } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { lockTags } from '../../db/locks.ts';
import { nextTurnInTransaction } from '../../db/next-turn.ts';
import type { Db } from '../../db/prepare.ts';
import { lockRepositoryShared } from '../../db/repositories.ts';
import { findTagsWithManifests } from '../../db/tags.ts';
import { RegistryError } from '../../oci/errors.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { partTagsOf } from '../../oci/part-tags.ts';
import { type Deletion, type DeletionRules, deleteTagOnly, deleteWithTags } from '../delete-image.ts';
import { lastPulls } from '../pulls.ts';
import type { Remover } from './retain.ts';
import { findUnused } from './untagged.ts';

/** What {@link removerOf} uses to remove content. */
export interface RemoverParts {
  readonly database: Database;
  readonly deletions: DeletionRules;
  readonly by: Actor;
}

/**
 * Removes content of one repository. Each removal is one transaction, which judges again after it has locked what it removes.
 * @param policy the policy's owner, for the recorded changes: `namespace acme`
 */
export function removerOf(
  { database, deletions, by }: RemoverParts,
  { id, name }: { readonly id: number; readonly name: RepositoryName },
  policy: string,
): Remover {
  const removing = async (work: (db: Db) => Promise<boolean>): Promise<boolean> => {
    try {
      return await database.transaction(
        async (db) => (await lockRepositoryShared(db, name)) === id && (await work(db)),
      );
    } catch (error) {
      // A tag became immutable or was deleted, or the manifest is used again.
      if (error instanceof RegistryError && gone.has(error.code)) return false;
      throw error;
    }
  };
  const deletionOf = (detail: Deletion['detail']): Deletion => {
    return { repository: id, name, by, now: database.clock(), detail };
  };
  return {
    tag: (judged, pulledAt, rules) =>
      removing(async (db) => {
        await lockTags(db, id, [judged.tag]);
        const [current] = await findTagsWithManifests(db, id, [judged.tag]);
        if (current?.id !== judged.id || current.updated_at !== judged.updated_at) return false;
        if (pulledAt !== undefined) {
          const pulls = await lastPulls(db, [current], nextTurnInTransaction);
          if ((pulls.get(current.id) ?? 0) > pulledAt) return false;
        }
        return deleteTagOnly(db, deletions, deletionOf({ policy, rules }), judged.tag, current.digest);
      }),
    manifest: ({ id: manifest, digest }, terms) =>
      removing(async (db) => {
        await lockTags(db, id, partTagsOf(digest));
        const deletion = deletionOf({ policy, untagged: true });
        return deleteWithTags(db, deletions, deletion, digest, async (current) => {
          const [unused] = await findUnused(db, terms, [manifest], nextTurnInTransaction);
          if (unused?.id !== current) throw new RegistryError('PRECONDITION_FAILED');
          for (const { tag, digest } of unused.partTags) {
            await deleteTagOnly(db, deletions, deletion, tag, digest);
          }
        });
      }),
  };
}

const gone: ReadonlySet<string> = new Set(['DENIED', 'PRECONDITION_FAILED']);
