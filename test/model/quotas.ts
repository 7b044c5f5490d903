// What fits into the quotas of the model. What is in the trash takes its bytes there too, and nothing else.
import { sizes } from './content.ts';
import { existing, type Limits, type Model, type Repository } from './model.ts';

const unlimited: Limits = { bytes: 0, tags: 0, repositories: 0 };

export function namespaceOf(name: string): string {
  return name.slice(0, name.indexOf('/'));
}

interface Level {
  readonly limits: Limits;
  readonly holders: readonly Repository[];
  /** Digests. */
  readonly blobs: ReadonlySet<string>;
}

/** The repository and its namespace. */
function levelsOf(model: Model, repository: Repository): Level[] {
  const namespace = namespaceOf(repository.name);
  const isWithin = ({ name }: Repository): boolean => namespaceOf(name) === namespace;
  const holders = existing(model).filter(isWithin);
  const all = [...holders, ...model.deleted.filter(isWithin)];
  const held = all.flatMap(({ blobs, trashedBlobs }) => [...blobs, ...trashedBlobs]);
  return [
    { limits: model.quotas.get(namespace) ?? unlimited, holders, blobs: new Set(held) },
    { limits: repository.quota ?? unlimited, holders: [repository], blobs: repository.blobs },
  ];
}

function fits(used: number, limit: number): boolean {
  return limit === 0 || used <= limit;
}

/** Whether the repository exists or may be created. */
export function fitsRepository(model: Model, repository: Repository): boolean {
  if (repository.exists) return true;
  return levelsOf(model, repository).every(({ limits, holders }) =>
    fits(holders.length + 1, limits.repositories),
  );
}

/** Whether these bytes may be added. @param digest of the blob, which needs no space where it is held */
export function fitsBlob(model: Model, repository: Repository, size: number, digest?: string): boolean {
  return levelsOf(model, repository).every(({ limits, blobs }) => {
    if (size === 0 || (digest !== undefined && blobs.has(digest))) return true;
    const used = [...blobs].reduce((sum, each) => sum + (sizes.get(each) as number), 0);
    return fits(used + size, limits.bytes);
  });
}

/** Whether those of the tags that do not exist may be added. */
export function fitsTags(model: Model, repository: Repository, tags: readonly string[]): boolean {
  const added = tags.filter((tag) => !repository.tags.has(tag)).length;
  if (added === 0) return true;
  return levelsOf(model, repository).every(({ limits, holders }) =>
    fits(holders.reduce((sum, each) => sum + each.tags.size, 0) + added, limits.tags),
  );
}

/** Whether the namespace of the name may get the repository, which has another name or is in the trash. */
export function fitsMove(model: Model, repository: Repository, to: string): boolean {
  const namespace = namespaceOf(to);
  if (namespace === namespaceOf(repository.name)) return true;
  const limits = model.quotas.get(namespace) ?? unlimited;
  const isWithin = ({ name }: Repository): boolean => namespaceOf(name) === namespace;
  const used = (moved: readonly Repository[]): Limits => {
    const visible = [...existing(model).filter(isWithin), ...moved];
    const all = [...visible, ...model.deleted.filter(isWithin)];
    const held = new Set(all.flatMap(({ blobs, trashedBlobs }) => [...blobs, ...trashedBlobs]));
    return {
      bytes: [...held].reduce((sum, each) => sum + (sizes.get(each) as number), 0),
      tags: visible.reduce((sum, each) => sum + each.tags.size, 0),
      repositories: visible.length,
    };
  };
  const [before, after] = [used([]), used([repository])];
  return (['bytes', 'tags', 'repositories'] as const).every(
    (resource) => after[resource] === before[resource] || fits(after[resource], limits[resource]),
  );
}
