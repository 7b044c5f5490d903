// What takes the space of a registry.
import { Refused } from '../access/refused.ts';
import { imageShare, imageSizes } from '../core/image-sizes.ts';
import type { Database } from '../db/database.ts';
import { namespaceBytesAlone, repositoryBytesAlone } from '../db/exclusive.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { listTagsWithManifests } from '../db/tags.ts';
import {
  afterName,
  isInTrash,
  listNamespaceUsage,
  listRepositoryUsage,
  type NamespaceUsage,
  type RepositoryUsage,
  type StoredBytes,
  sumStoredBytes,
  type Usage,
} from '../db/usage.ts';
import { listDays, type UsageDay, wholeRegistry } from '../db/usage-days.ts';
import { asNamespace, type Namespace } from '../oci/name.ts';
import { hasNamespace, parseRepositoryName } from './repositories.ts';

type Reading = Pick<Database, 'read'>;

const pageSize = 1_000;

export interface RegistryUsage {
  readonly stored: StoredBytes;
  /** The sum over all repositories. */
  readonly repositoryBytes: number;
  /** Bytes that would be stored in addition if repositories shared no blobs. */
  readonly savedBytes: number;
  /** Sum over the repositories in the trash. */
  readonly trashBytes: number;
  /** The largest ones. */
  readonly namespaces: readonly NamespaceUsage[];
}

/** The usage of the whole registry, with the `top` largest namespaces. */
export async function registryUsage({ read }: Reading, top: number): Promise<RegistryUsage> {
  const stored = await sumStoredBytes(read, nextTurn);
  let [repositoryBytes, trashBytes] = [0, 0];
  for await (const { name, bytes } of everyRepository(read, '')) {
    repositoryBytes += bytes;
    if (isInTrash(name)) trashBytes += bytes;
  }
  const namespaces = new Largest<NamespaceUsage>(top);
  for (let from = ''; ; ) {
    const page = await listNamespaceUsage(read, from, pageSize);
    for (const usage of page) namespaces.add(usage);
    if (page.length < pageSize) break;
    from = afterName(page.at(-1)?.namespace as string);
    await nextTurn();
  }
  const savedBytes = Math.max(repositoryBytes - (stored.bytes - stored.unheldBytes), 0);
  return { stored, repositoryBytes, savedBytes, trashBytes, namespaces: namespaces.list() };
}

export interface NamespaceDetails extends NamespaceUsage {
  /** Bytes of blobs that no other namespace holds. */
  readonly exclusive: number;
  /** Sum over the repositories of the namespace that are in the trash. */
  readonly trashBytes: number;
  /** The largest ones, each with the bytes that no other repository holds. */
  readonly largest: readonly (RepositoryUsage & { readonly exclusive: number })[];
}

/** The usage of a namespace, with its `top` largest repositories; `undefined` if there is none. */
export async function namespaceUsage(
  { read }: Reading,
  text: string,
  top: number,
): Promise<NamespaceDetails | undefined> {
  const namespace = asNamespace(text);
  if (namespace === undefined) return undefined;
  const [usage] = await listNamespaceUsage(read, namespace, 1);
  if (usage?.namespace !== namespace) {
    if (!(await hasNamespace(read, namespace))) return undefined;
    const none = { blobs: 0, bytes: 0, tags: 0, repositories: 0 };
    return { namespace, ...none, exclusive: 0, trashBytes: 0, largest: [] };
  }
  const largest = new Largest<RepositoryUsage>(top);
  let trashBytes = 0;
  for await (const repository of everyRepository(read, `${namespace}/`)) {
    if (isInTrash(repository.name)) trashBytes += repository.bytes;
    else largest.add(repository);
  }
  const shown = [];
  for (const repository of largest.list()) {
    shown.push({ ...repository, exclusive: await repositoryBytesAlone(read, repository.id, nextTurn) });
  }
  const exclusive = await namespaceBytesAlone(read, namespace, nextTurn);
  return { ...usage, exclusive, trashBytes, largest: shown };
}

export interface TagUsage {
  readonly tag: string;
  /** Bytes of its image's blobs; `undefined` where there are too many to count. */
  readonly size: number | undefined;
  /** See `ImageShare`. */
  readonly exclusive: number | undefined;
  readonly frees: number | undefined;
}

export interface RepositoryDetails extends RepositoryUsage {
  /** Bytes of blobs that no other repository holds. */
  readonly exclusive: number;
  /** Whether the repository has more tags than were compared: the first {@link maxCompared} in byte order. */
  readonly compared: number;
  /** The largest of the compared tags. */
  readonly largest: readonly TagUsage[];
}

/** Tags whose sizes are compared: each needs the references of its image. */
export const maxCompared = 10_000;

/** The usage of a repository, with its `top` largest tags. @throws Refused */
export async function repositoryUsage(
  { read }: Reading,
  text: string,
  top: number,
): Promise<RepositoryDetails> {
  const name = parseRepositoryName(text);
  const [usage] = await listRepositoryUsage(read, name, '', 1);
  if (usage?.name !== name) {
    throw new Refused(`there is no ${name.includes('/') ? '' : 'namespace or '}repository ${name}`);
  }
  const largest = new Largest<{ tag: string; id: number; bytes: number; size: number | undefined }>(top);
  let compared = 0;
  for (let after = ''; compared < maxCompared; ) {
    const page = await listTagsWithManifests(read, usage.id, after, 100);
    const sizes = await imageSizes(
      read,
      usage.id,
      page.map(({ id }) => id),
    );
    for (const { tag, id } of page) largest.add({ tag, id, bytes: sizes.get(id) ?? 0, size: sizes.get(id) });
    compared += page.length;
    if (page.length < 100) break;
    after = page.at(-1)?.tag as string;
  }
  const tags: TagUsage[] = [];
  for (const { tag, id, size } of largest.list()) {
    const share = await imageShare(read, usage.id, id);
    tags.push({ tag, size, exclusive: share?.exclusive, frees: share?.frees });
  }
  const exclusive = await repositoryBytesAlone(read, usage.id, nextTurn);
  return { ...usage, exclusive, compared, largest: tags };
}

/** The newest recorded days of the registry or a namespace, the oldest first. @throws Refused */
export async function usageDays(
  { read }: Reading,
  text: string | undefined,
  days: number,
): Promise<UsageDay[]> {
  const namespace = text === undefined ? wholeRegistry : asNamespace(text);
  if (namespace === undefined)
    throw new Refused(`${text} is not a namespace; --days is for one, or for the registry`);
  const listed = await listDays(read, namespace, days);
  if (listed.length === 0 && text !== undefined && !(await hasNamespace(read, namespace as Namespace))) {
    throw new Refused(`there is no namespace ${text}`);
  }
  return listed.reverse();
}

async function* everyRepository(read: Db, prefix: string): AsyncGenerator<RepositoryUsage> {
  for (let after = ''; ; ) {
    const page = await listRepositoryUsage(read, prefix, after, pageSize);
    yield* page;
    if (page.length < pageSize) return;
    after = page.at(-1)?.name as string;
    await nextTurn();
  }
}

/** Keeps the rows with the most bytes. */
class Largest<T extends Pick<Usage, 'bytes'>> {
  readonly #count: number;
  #rows: T[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  add(row: T): void {
    this.#rows.push(row);
    // Sorted rarely, so that each row costs little.
    if (this.#rows.length >= 2 * this.#count + 100) this.#rows = this.list();
  }

  list(): T[] {
    return this.#rows.sort((one, other) => other.bytes - one.bytes).slice(0, this.#count);
  }
}
