import fc from 'fast-check';
import type { RestartableRegistry } from '../faults/restartable.ts';
import { type Blob, type Manifest, repositories } from './content.ts';

/** The content that a repository must have according to its answers to clients. */
export interface Repository {
  readonly name: string;
  /** Whether a session, mount or manifest has created it. */
  exists: boolean;
  /** Digests. */
  readonly blobs: Set<string>;
  readonly manifests: Map<string, Manifest>;
  readonly tags: Map<string, Manifest>;
  /** Deleted manifests that can be restored. */
  readonly trash: Map<string, Manifest>;
  /** Tags that were deleted with a manifest, by its digest; those that were not restored stay. */
  readonly trashedTags: Map<string, Set<string>>;
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
  readonly repositories: readonly Repository[];
  readonly uploads: Upload[];
}

export function emptyModel(): Model {
  return {
    repositories: repositories.map((name) => ({
      name,
      exists: false,
      blobs: new Set(),
      manifests: new Map(),
      tags: new Map(),
      trash: new Map(),
      trashedTags: new Map(),
    })),
    uploads: [],
  };
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
