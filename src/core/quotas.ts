// Quotas: how many bytes of distinct blobs, tags and repositories a namespace or a repository may have. Everything that adds some
// asks here.
import { lockQuotas, lockRepositoryNames } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';
import { findQuotaStates, hasQuotas, type QuotaState } from '../db/quotas.ts';
import { findOrCreateRepository, lockRepositoryShared } from '../db/repositories.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { namespaceOf, type RepositoryName } from '../oci/name.ts';
import { printBytes } from './print-bytes.ts';

/** The limits of every namespace or repository without a quota of its own; 0: none. */
export interface QuotaLimits {
  readonly bytes: number;
  readonly tags: number;
  readonly repositories: number;
}

export interface QuotaDefaults {
  readonly namespace: QuotaLimits;
  readonly repository: Omit<QuotaLimits, 'repositories'>;
}

const unlimited = { bytes: 0, tags: 0, repositories: 0 };
export const noQuotas: QuotaDefaults = { namespace: unlimited, repository: unlimited };

/** Whether a push has to ask, given the result of a statement that returns `anyQuota`. */
export function isLimited({ namespace, repository }: QuotaDefaults, anyQuota: boolean | number): boolean {
  const configured = [namespace.bytes, namespace.tags, namespace.repositories];
  return Boolean(anyQuota) || [...configured, repository.bytes, repository.tags].some((limit) => limit > 0);
}

export interface Target {
  /** The repository's id. */
  readonly id: number;
  readonly name: RepositoryName;
}

/** What a transaction adds to a repository. */
export type Growth =
  /** Blobs that it is about to link; they are locked. */
  | { readonly blobs: readonly Digest[] }
  /** Tags that it has added. */
  | { readonly newTags: number }
  /** Nothing yet: an upload begins, with its bytes and digest if known. */
  | { readonly upload: { readonly bytes?: number | undefined; readonly digest?: Digest | undefined } };

type Resource = 'bytes' | 'tags' | 'repositories';

interface Level {
  readonly name: string;
  /** For `berth usage`. */
  readonly shownBy: string;
  readonly state: QuotaState;
  readonly limits: QuotaLimits;
}

/** Share of a quota from which pushes are answered with a warning. */
const warnFrom = 0.9;

/**
 * Refuses to add what does not fit into a quota of the repository or its namespace. Must run in the transaction that adds it, after
 * all its other locks. A blob that is held already needs no space.
 *
 * @returns a warning if most of a quota is used
 * @throws RegistryError `DENIED`
 */
export async function requireSpace(
  db: Db,
  defaults: QuotaDefaults,
  target: Target,
  growth: Growth,
): Promise<string | undefined> {
  const adds = 'blobs' in growth ? growth.blobs.length > 0 : 'newTags' in growth && growth.newTags > 0;
  // An upload takes its bytes only when it is committed.
  if (adds) await lockQuotas(db, target.name);
  const digests = 'blobs' in growth ? growth.blobs : 'upload' in growth ? [growth.upload.digest ?? ''] : [];
  let warning: string | undefined;
  for (const level of levelsOf(await findQuotaStates(db, target, digests), defaults, target.name)) {
    const { state, limits } = level;
    if ('newTags' in growth) {
      if (growth.newTags > 0 && exceeds(state.tags, limits.tags)) {
        throw refusal(level, 'tags', state.tags - growth.newTags, `this push needs ${growth.newTags} more`);
      }
    } else if ('blobs' in growth) {
      if (state.missing > 0 && exceeds(state.bytes + state.missing, limits.bytes))
        throw needs(level, state.missing);
    } else if (state.held === 0) {
      const { bytes } = growth.upload;
      if (bytes !== undefined && bytes > 0 && exceeds(state.bytes + bytes, limits.bytes))
        throw needs(level, bytes);
      if (bytes === undefined && exceeds(state.bytes + 1, limits.bytes)) {
        throw refusal(level, 'bytes', state.bytes, 'nothing more can be uploaded');
      }
    }
    const used = { ...state, bytes: state.bytes + ('blobs' in growth ? state.missing : 0) };
    warning ??= warningOf(level, used);
  }
  return warning;
}

/**
 * Finds the repository, or creates it; with the lock of `lockRepositoryShared`.
 * @throws RegistryError `DENIED` if the namespace may not have another repository
 */
export async function findOrAddRepository(
  db: Db,
  defaults: QuotaDefaults,
  name: RepositoryName,
  now: number,
): Promise<number> {
  return (await lockRepositoryShared(db, name)) ?? addRepository(db, defaults, name, now);
}

/**
 * Creates the repository, unless it exists by now.
 * @throws RegistryError `DENIED` if the namespace may not have another repository
 */
export async function addRepository(
  db: Db,
  defaults: QuotaDefaults,
  name: RepositoryName,
  now: number,
): Promise<number> {
  if (namespaceOf(name) !== undefined && isLimited(defaults, await hasQuotas(db))) {
    // A lock of its own, because blobs and tags are locked after this.
    await lockRepositoryNames(db, name);
    const states = await findQuotaStates(db, { id: 0, name }, []);
    for (const level of levelsOf(states, defaults, name)) {
      const { repositories } = level.state;
      if (exceeds(repositories + 1, level.limits.repositories)) {
        throw refusal(level, 'repositories', repositories, `${name} would be one more`);
      }
    }
  }
  return findOrCreateRepository(db, name, now);
}

/**
 * Locks the names of the namespace that a repository moves to, so that it can be counted. Taken with the repository.
 * @returns `to`, for {@link moveInto}; `undefined` if there is nothing to count: no quota, or the same namespace
 */
export async function lockDestination(
  db: Db,
  defaults: QuotaDefaults,
  from: RepositoryName,
  to: RepositoryName,
): Promise<RepositoryName | undefined> {
  const isOther = namespaceOf(to) !== undefined && namespaceOf(to) !== namespaceOf(from);
  if (!isOther || !isLimited(defaults, await hasQuotas(db))) return undefined;
  await lockRepositoryNames(db, to);
  return to;
}

/**
 * Moves a repository to another namespace. Must run after all other locks of the transaction, which an error rolls back.
 * @param move changes the name; resolves to false if it did not
 * @returns the result of `move`
 * @throws RegistryError `DENIED` if the namespace gets more bytes, tags or repositories than its quota has
 */
export async function moveInto(
  db: Db,
  defaults: QuotaDefaults,
  destination: RepositoryName | undefined,
  move: () => Promise<boolean>,
): Promise<boolean> {
  if (destination === undefined) return move();
  await lockQuotas(db, destination);
  const namespace = async () => {
    const states = await findQuotaStates(db, { id: 0, name: destination }, []);
    return levelsOf(states, defaults, destination).find(({ state }) => state.level === 'namespace') as Level;
  };
  const before = await namespace();
  if (!(await move())) return false;
  const after = await namespace();
  for (const resource of ['bytes', 'tags', 'repositories'] as const) {
    const [used, all] = [before.state[resource], after.state[resource]];
    if (all > used && exceeds(all, after.limits[resource])) {
      const more = resource === 'bytes' ? printBytes(all - used) : `${all - used}`;
      throw refusal(before, resource, used, `${destination} would need ${more} more`);
    }
  }
  return true;
}

function levelsOf(states: readonly QuotaState[], defaults: QuotaDefaults, name: RepositoryName): Level[] {
  return states.flatMap((state): Level[] => {
    const configured = { ...unlimited, ...defaults[state.level] };
    const limits = {
      bytes: state.max_bytes ?? configured.bytes,
      tags: state.max_tags ?? configured.tags,
      repositories: state.max_repositories ?? configured.repositories,
    };
    const of = state.level === 'repository' ? name : namespaceOf(name);
    return of === undefined
      ? []
      : [{ name: `${state.level} ${of}`, shownBy: `berth usage ${of}`, state, limits }];
  });
}

function exceeds(used: number, limit: number): boolean {
  return limit > 0 && used > limit;
}

function needs(level: Level, bytes: number): RegistryError {
  return refusal(level, 'bytes', level.state.bytes, `this blob needs ${printBytes(bytes)} more`);
}

/** Something does not fit into a quota. */
export class QuotaExceeded extends RegistryError {
  constructor(message: string) {
    super('DENIED', undefined, { message });
  }
}

function refusal(level: Level, resource: Resource, used: number, reason: string): RegistryError {
  return new QuotaExceeded(
    `${usedOf(level, resource, used)}; ${reason}. Delete tags or images (${level.shownBy} shows the largest), ` +
      'or ask an administrator for a larger quota',
  );
}

/** `namespace acme uses 9.8 GiB of its 10.0 GiB`. */
function usedOf({ name, limits }: Level, resource: Resource, used: number): string {
  const print = (count: number): string => (resource === 'bytes' ? printBytes(count) : `${count}`);
  const unit = resource === 'bytes' ? '' : ` ${resource}`;
  return `${name} uses ${print(used)} of its ${print(limits[resource])}${unit}`;
}

function warningOf(level: Level, used: Pick<QuotaState, Resource>): string | undefined {
  const most = (['bytes', 'tags'] as const).find(
    (resource) => level.limits[resource] > 0 && used[resource] >= warnFrom * level.limits[resource],
  );
  return most && usedOf(level, most, used[most]);
}
