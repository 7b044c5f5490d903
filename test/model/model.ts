import fc from 'fast-check';
import type { RestartableRegistry } from '../faults/restartable.ts';
import { type Blob, type Manifest, repositories } from './content.ts';

/** Limits of a namespace or a repository; 0: none. */
export interface Limits {
  bytes: number;
  tags: number;
  repositories: number;
}

/** A retention policy: keeps the newest tag, by push or by version; removes manifests without tags that were not used lately. */
export interface Policy {
  readonly by: 'push' | 'version' | undefined;
  readonly untagged: boolean;
}

/** When a manifest was pushed and last pulled, by {@link Model.period}. */
export interface Row {
  readonly pushed: number;
  pulled: number;
}

/** The content that a repository must have according to its answers to clients. */
export interface Repository {
  name: string;
  /** Whether a session, mount or manifest has created it. */
  exists: boolean;
  /** Digests. */
  readonly blobs: Set<string>;
  readonly manifests: Map<string, Manifest>;
  readonly tags: Map<string, Manifest>;
  /** The order of the last pushes of tags. */
  readonly pushes: Map<string, number>;
  /** Of the manifests. */
  readonly rows: Map<string, Row>;
  /** The period in which a manifest lost a tag last, by digest. */
  readonly left: Map<string, number>;
  /** Deleted manifests that can be restored. */
  readonly trash: Map<string, Manifest>;
  readonly trashedRows: Map<string, Row>;
  /** Digests that the trash holds for them, until they are collected. */
  readonly trashedBlobs: Set<string>;
  /** Tags that were deleted with a manifest, by its digest; those that were not restored stay. */
  readonly trashedTags: Map<string, Set<string>>;
  /** Sessions that ended when the repository was deleted. */
  readonly ended: Upload[];
  quota: Limits | undefined;
  policy: Policy | undefined;
}

/** An open upload session. */
export interface Upload {
  readonly repository: Repository;
  readonly path: string;
  /** The blob whose bytes are sent, in order. */
  readonly blob: Blob;
  received: number;
}

/** The content of a correct registry. */
export interface Model {
  /** With those that were asked for and do not exist. */
  readonly repositories: Repository[];
  /** Repositories in the trash, in the order of their deletion. */
  readonly deleted: Repository[];
  /** Former names. */
  readonly aliases: Map<string, { readonly repository: Repository; readonly until: number }>;
  readonly uploads: Upload[];
  readonly quotas: Map<string, Limits>;
  readonly policies: Map<string, Policy>;
  /** Counts the times that the clock moved. */
  period: number;
  pushes: number;
  /** Pulls that the registry has not written yet. */
  readonly pulls: Set<Row>;
}

export function emptyModel(): Model {
  return {
    ...{ repositories: [], deleted: [], aliases: new Map(), uploads: [], quotas: new Map() },
    ...{ policies: new Map(), period: 0, pushes: 0, pulls: new Set() },
  };
}

/** The repository that has the name; otherwise the one with this alias; otherwise one that does not exist. */
export function named(model: Model, name: string): Repository {
  const own = model.repositories.find((repository) => repository.name === name);
  if (own?.exists) return own;
  const alias = model.aliases.get(name);
  if (alias !== undefined && alias.until > model.period && model.repositories.includes(alias.repository)) {
    return alias.repository;
  }
  if (own !== undefined) return own;
  const absent: Repository = {
    ...{ name, exists: false, blobs: new Set(), manifests: new Map(), tags: new Map(), pushes: new Map() },
    ...{ rows: new Map(), left: new Map(), trash: new Map(), trashedRows: new Map() },
    ...{ trashedBlobs: new Set(), trashedTags: new Map(), ended: [], quota: undefined, policy: undefined },
  };
  model.repositories.push(absent);
  return absent;
}

/** One of the names with the repository that it stands for. */
export function anyNamed(model: Model, number: number): { name: string; repository: Repository } {
  const name = pick(repositories, number);
  return { name, repository: named(model, name) };
}

export function existing(model: Model): Repository[] {
  return model.repositories.filter(({ exists }) => exists);
}

/** A new repository takes the place of an alias. */
export function create(model: Model, repository: Repository): void {
  if (!repository.exists) model.aliases.delete(repository.name);
  repository.exists = true;
}

export type Command = fc.AsyncCommand<Model, RestartableRegistry>;

/** How often each kind of command ran. */
export const counts = new Map<string, number>();

/** A kind of command with generated arguments. `run` sends a request, compares its answer with the model, and updates the model. */
export function command<A>(
  name: string,
  arguments_: fc.Arbitrary<A>,
  run: (model: Model, registry: RestartableRegistry, arguments_: A) => Promise<void>,
  possible: (model: Model) => boolean = () => true,
): fc.Arbitrary<Command> {
  return arguments_.map((given) => ({
    check: possible,
    async run(model, registry) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      await run(model, registry, given);
    },
    toString: () => `${name}(${JSON.stringify(given)})`,
  }));
}

/** A number for {@link pick}, because the length of the list is known only when the command runs. */
export const anyOf = fc.nat({ max: 1_000 });

export const rarely = fc.oneof(
  { weight: 4, arbitrary: fc.constant(false) },
  { weight: 1, arbitrary: fc.constant(true) },
);

export function pick<T>(list: readonly T[], number: number): T {
  return list[number % list.length] as T;
}
