// The trash: what was deleted and can be restored.
import { Refused } from '../access/refused.ts';
import { type EmptiedTrash, emptyTrash } from '../core/empty-trash.ts';
import type { QuotaDefaults } from '../core/quotas.ts';
import { type RestoredImage, restoreImage, restoreRepository } from '../core/restore-trash.ts';
import type { Database } from '../db/database.ts';
import type { TrashKind } from '../db/schema.ts';
import { listTrash } from '../db/trash.ts';
import { originalName } from '../oci/hidden-name.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { type ActingDatabase, recording } from './change.ts';
import { parseAnyName } from './image-name.ts';
import { refusing } from './images.ts';
import { parseRepositoryName } from './repositories.ts';

/** A deleted tag, manifest or repository; times in milliseconds since 1970. */
export interface TrashEntry {
  readonly kind: TrashKind;
  /** `REPOSITORY:TAG`, `REPOSITORY@DIGEST` or `REPOSITORY`, with which it can be restored. */
  readonly name: string;
  readonly repository: RepositoryName;
  /** Of the manifest, or of the one that the tag pointed to; null for a repository. */
  readonly digest: string | null;
  readonly deletedAt: number;
  /** The account, or `anonymous` and the like. */
  readonly deletedBy: string;
  readonly expiresAt: number;
}

const pageSize = 500;

/**
 * What is in the trash, newest deletion first.
 * @param text a repository or a namespace; absent: all
 * @param keepFor milliseconds (`trash.keepFor`)
 * @throws Refused
 */
export async function* trashOf(
  { read }: Pick<Database, 'read'>,
  text: string | undefined,
  keepFor: number,
): AsyncGenerator<TrashEntry> {
  const name = parseScope(text);
  for (let before = Number.MAX_SAFE_INTEGER; ; ) {
    const page = await listTrash(read, name, { before, limit: pageSize });
    for (const { kind, name, tag, digest, deleted_at: deletedAt, actor } of page) {
      const repository = originalName(name);
      const suffix = kind === 'tag' ? `:${tag}` : kind === 'manifest' ? `@${digest}` : '';
      yield {
        ...{ kind, name: `${repository}${suffix}`, repository, digest },
        ...{ deletedAt, deletedBy: actor, expiresAt: deletedAt + keepFor },
      };
    }
    if (page.length < pageSize) return;
    before = page.at(-1)?.id as number;
  }
}

function parseScope(text: string | undefined): RepositoryName | undefined {
  return text === undefined ? undefined : parseRepositoryName(text);
}

/** What was restored; `digest` is null for a repository. */
export interface Restored extends Omit<RestoredImage, 'digest'> {
  readonly digest: RestoredImage['digest'] | null;
}

/**
 * Restores a repository, a tag or a manifest from the trash.
 * @param text `REPOSITORY`, `REPOSITORY:TAG` or `REPOSITORY@DIGEST`
 * @param options.as another name for a repository
 * @param options.quotas the configured ones, for another name
 * @throws Refused
 */
export async function restoreFromTrash(
  database: ActingDatabase,
  text: string,
  {
    immutableTags,
    quotas,
    as,
  }: {
    readonly immutableTags: readonly TagRule[];
    readonly quotas: QuotaDefaults;
    readonly as?: string | undefined;
  },
): Promise<Restored> {
  const { name, reference } = parseAnyName(text);
  const parts = { database, by: database.by, immutableTags, quotas };
  if (reference === undefined) {
    const to = as === undefined ? name : parseRepositoryName(as);
    await refusing(restoreRepository(parts, name, to));
    return { digest: null, manifests: 0, tags: [], skipped: [] };
  }
  if (as !== undefined) throw new Refused(`--as renames a repository, and ${text} is none`);
  return refusing(restoreImage(parts, name, reference));
}

/**
 * Deletes everything in the trash for good, and records that it began.
 * @param text a repository or a namespace; absent: all
 * @throws Refused
 */
export async function emptyTrashOf(
  database: ActingDatabase,
  text: string | undefined,
): Promise<EmptiedTrash> {
  const name = parseScope(text);
  await recording(database, (_, record) => record('trash.empty', name === undefined ? undefined : { name }));
  return emptyTrash(database, { before: database.clock() + 1, name });
}
