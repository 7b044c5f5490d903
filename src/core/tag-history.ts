// The moves of tags, and their undoing.
import type { Config } from '../config/schema.ts';
import type { Actor } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { lockTags } from '../db/locks.ts';
import { heldManifests, lockManifestShared } from '../db/manifests.ts';
import { nextTurnInTransaction } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { findRepository } from '../db/repositories.ts';
import { sliceSize } from '../db/slices.ts';
import { afterAllChanges, listTagMoves, type TagMove } from '../db/tag-history.ts';
import { findTag } from '../db/tags.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { moveTags } from './move-tags.ts';
import { noQuotas } from './quotas.ts';

/** Milliseconds for which moves of tags are kept. */
export function keepMovesFor({ audit, history }: Pick<Config, 'audit' | 'history'>): number {
  return Math.max(audit.keepFor, history.keepFor);
}

export interface HistoryRequest {
  /** Without it: all tags of the repository. */
  readonly tag?: Tag | undefined;
  /** {@link HistoryPage.next} of the page before; `undefined` for the newest moves. */
  readonly before?: number | undefined;
  /** Maximum number of moves. */
  readonly limit: number;
}

export interface HistoryPage {
  /** Newest first. */
  readonly moves: readonly TagMove[];
  /** `before` of the next page, if older moves follow. */
  readonly next: number | undefined;
}

/**
 * A page of the moves and deletions of tags of the repository that has this name now.
 * @throws RegistryError `NAME_UNKNOWN`
 */
export async function listTagHistory(
  { read }: Pick<Database, 'read'>,
  name: RepositoryName,
  { tag, before = afterAllChanges, limit }: HistoryRequest,
): Promise<HistoryPage> {
  const repository = await repositoryNamed(read, name);
  const moves = await listTagMoves(read, repository, tag, { before, limit: limit + 1 });
  const page = moves.slice(0, limit);
  return { moves: page, next: moves.length > limit ? page.at(-1)?.id : undefined };
}

/** The manifest that a tag shall point to: `to`, or the one before a time; without both, the one before the last move. */
export interface RollbackTarget {
  readonly to?: Digest | undefined;
  /** Milliseconds since 1970. */
  readonly before?: number | undefined;
}

export interface Rollback {
  /** The digest that the tag pointed to; `undefined` if it did not exist. */
  readonly from: Digest | undefined;
  readonly to: Digest;
}

/**
 * What {@link rollBackTag} would do now. Changes nothing.
 * @throws RegistryError `NAME_UNKNOWN` | `MANIFEST_UNKNOWN`
 */
export async function planRollback(
  { read }: Pick<Database, 'read'>,
  name: RepositoryName,
  tag: Tag,
  target: RollbackTarget,
): Promise<Rollback> {
  const repository = await repositoryNamed(read, name);
  const rollback = await findRollback(read, { repository, name, tag }, target);
  const held = await heldManifests(read, repository, [rollback.to]);
  if (!held.has(rollback.to)) throw manifestGone(name, rollback.to);
  return rollback;
}

/**
 * Points a tag to the manifest that it pointed to before, and creates it if it was deleted. Changes and records nothing if the tag
 * points there already. Durable on return.
 * @param configured the configured rules of immutable tags
 * @param quotas the configured quotas
 * @throws RegistryError `NAME_UNKNOWN`; `MANIFEST_UNKNOWN` if there is no such move, or the manifest was deleted; `DENIED`
 */
export async function rollBackTag(
  database: Database,
  by: Actor,
  configured: readonly TagRule[],
  name: RepositoryName,
  tag: Tag,
  target: RollbackTarget,
  quotas = noQuotas,
): Promise<Rollback> {
  return database.transaction(async (db) => {
    const repository = await repositoryNamed(db, name);
    await lockTags(db, repository, [tag]);
    const rollback = await findRollback(db, { repository, name, tag }, target);
    const { from, to } = rollback;
    const manifest = await lockManifestShared(db, repository, to);
    if (manifest === undefined) throw manifestGone(name, to);
    if (from !== to) {
      const change = { kind: 'tag.rollback', repository: name, repositoryId: repository, newDigest: to };
      const now = database.clock();
      await moveTags(db, by, configured, change, { tags: [tag], manifest: manifest.id, now, quotas });
    }
    return rollback;
  });
}

interface TagKey {
  readonly repository: number;
  readonly name: RepositoryName;
  readonly tag: Tag;
}

async function findRollback(db: Db, key: TagKey, { to, before }: RollbackTarget): Promise<Rollback> {
  const { repository, name, tag } = key;
  const from = (await findTag(db, repository, tag))?.digest as Digest | undefined;
  const [last] = await listTagMoves(db, repository, tag, { before: afterAllChanges, limit: 1 });
  if (from === undefined && last === undefined) {
    throw unknown(`there is no tag ${name}:${tag}, and no record of one`);
  }
  if (to !== undefined) return { from, to };
  const undone = before === undefined ? last : await firstMoveSince(db, key, before);
  if (undone === undefined) {
    // Not moved since then, so the tag pointed to its present manifest at that time too.
    if (before !== undefined && from !== undefined) return { from, to: from };
    throw unknown(
      from === undefined
        ? `${name}:${tag} did not exist at that time`
        : `no earlier manifest of ${name}:${tag} is recorded`,
    );
  }
  if (undone.old_digest === null) {
    const at = new Date(undone.at).toISOString();
    throw unknown(`${name}:${tag} did not exist before it was set to ${undone.new_digest} on ${at}`);
  }
  return { from, to: undone.old_digest };
}

/** The oldest move of the tag at `time` or later. */
async function firstMoveSince(
  db: Db,
  { repository, tag }: TagKey,
  time: number,
): Promise<TagMove | undefined> {
  let found: TagMove | undefined;
  for (;;) {
    const page = { before: found?.id ?? afterAllChanges, limit: sliceSize };
    const moves = await listTagMoves(db, repository, tag, page);
    for (const move of moves) {
      if (move.at < time) return found;
      found = move;
    }
    if (moves.length < sliceSize) return found;
    await nextTurnInTransaction();
  }
}

async function repositoryNamed(db: Db, name: RepositoryName): Promise<number> {
  const repository = await findRepository(db, name);
  if (repository !== undefined) return repository;
  throw new RegistryError('NAME_UNKNOWN', { name }, { message: `there is no repository ${name}` });
}

function manifestGone(name: RepositoryName, digest: Digest): RegistryError {
  return unknown(
    `${name} does not hold manifest ${digest}: it was deleted or never pushed; push it again, or choose another one`,
  );
}

function unknown(message: string): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', undefined, { message });
}
