import type { Db } from '../../db/prepare.ts';
import { asName } from '../../oci/name.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { StoreTree } from '../../storage/store-tree.ts';
import { compare, explain, isObjection, markStore, type Places } from '../store-identity.ts';
import { StoreMismatch } from '../store-mismatch.ts';
import { adoptBlobs } from './adopt-blobs.ts';
import { RepositoryAdoption } from './adopt-repository.ts';
import { CannotAdopt } from './cannot-adopt.ts';
import { parseRepositoryFile, repositoriesFolder } from './layout.ts';
import type { Adopted, AdoptParts } from './parts.ts';

/** Whether a store has repositories of CNCF distribution. */
export async function hasRepositories(tree: StoreTree): Promise<boolean> {
  for await (const _ of tree.list(repositoriesFolder)) return true;
  return false;
}

/** Refuses a store of another registry, and one that is older or newer than the database. @throws StoreMismatch */
export async function refuseOtherStore(db: Db, store: BlobStore, places: Places): Promise<void> {
  const comparison = await compare(db, store);
  const { relation, marker } = comparison;
  // An empty database, and a store that no registry of Berth has marked: the first adoption.
  if (relation === 'database-empty' && marker === undefined) return;
  if (isObjection(relation)) throw new StoreMismatch(explain(comparison, places));
}

/**
 * Takes over a storage tree of CNCF distribution in place: records its blobs, repositories, manifests and tags. Changes no file of it,
 * and reads no blob except manifests. May be interrupted anywhere and repeated: it adds what is missing, moves tags that were moved in
 * the tree, and deletes nothing. Reports what is damaged and continues.
 */
export async function adopt(parts: AdoptParts): Promise<Adopted> {
  const adopted: Adopted = {
    repositories: 0,
    blobs: 0,
    bytes: 0,
    manifests: 0,
    tags: 0,
    uploads: 0,
    unreadable: 0,
    added: { links: 0, manifests: 0, tags: 0 },
  };
  await adoptBlobs(parts, adopted);
  await adoptRepositories(parts, adopted);
  return adopted;
}

/** Marks the store as Berth's, after {@link adopt}: from then on Berth serves it. */
export async function markAdopted({ database, store }: AdoptParts): Promise<void> {
  if ((await store.readMarker()) === undefined) await markStore(database, store);
}

async function adoptRepositories(parts: AdoptParts, adopted: Adopted): Promise<void> {
  const { tree, signal, progress } = parts;
  progress.begin('reading repositories', 'files', await countFiles(parts));
  let current: { readonly path: string; readonly adoption: RepositoryAdoption | undefined } | undefined;
  const finish = async (): Promise<void> => {
    if (current?.adoption === undefined) return;
    await current.adoption.finish();
    adopted.repositories += 1;
  };
  for await (const file of tree.list(repositoriesFolder)) {
    signal.throwIfAborted();
    const { repository: path, entry } = parseRepositoryFile(file.key);
    if (current?.path !== path) {
      await finish();
      current = { path, adoption: open(path, parts, adopted) };
    }
    await current.adoption?.add(file, entry);
    progress.add(1);
  }
  await finish();
}

async function countFiles({ tree, signal, progress }: AdoptParts): Promise<number> {
  progress.begin('counting files of repositories', 'files', 0);
  let total = 0;
  for await (const count of tree.count(repositoriesFolder)) {
    signal.throwIfAborted();
    total += count;
    progress.add(count);
    progress.expect(total);
  }
  return total;
}

/** `undefined` for a name that Berth does not allow. */
function open(path: string, parts: AdoptParts, adopted: Adopted): RepositoryAdoption | undefined {
  const name = asName(path);
  if (name !== undefined) return new RepositoryAdoption(name, parts, adopted);
  const problem = 'Berth does not allow this name of a repository; copy its images to another one';
  parts.report({ severity: 'error', kind: 'repository-invalid', subject: `repository ${path}`, problem });
  return undefined;
}

/** @throws CannotAdopt if there is nothing to adopt */
export async function refuseEmptyTree(tree: StoreTree, place: string): Promise<void> {
  if (await hasRepositories(tree)) return;
  throw new CannotAdopt(
    `${place} has no ${repositoriesFolder}: give the root directory of the registry's storage (the directory or prefix above docker/registry/v2)`,
  );
}
