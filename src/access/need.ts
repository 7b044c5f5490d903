// What requests need, which is what the routes are judged by; and how a client that lacks it is told to ask for it.
import type { RepositoryName } from '../oci/name.ts';
import type { Right } from './rights.ts';

/** In one repository. `create`: bring content; `push`: bring content or move a tag, as it will turn out. */
export type RepositoryNeed = 'pull' | 'create' | 'push' | 'delete';

/** Of the registry as a whole. `base`: to be let in at all. */
export type RegistryNeed = 'base' | 'catalog';

interface Terms {
  /** One of them is enough to begin with. */
  readonly anyOf: readonly Right[];
  /** The actions of a token's scope that clients ask for. */
  readonly actions: string;
  /** For people, before the repository's name. */
  readonly words: string;
}

const terms: Readonly<Record<RepositoryNeed, Terms>> = {
  pull: { anyOf: ['pull'], actions: 'pull', words: 'pull from' },
  create: { anyOf: ['create'], actions: 'pull,push', words: 'push to' },
  push: { anyOf: ['create', 'update'], actions: 'pull,push', words: 'push to' },
  delete: { anyOf: ['delete'], actions: 'delete', words: 'delete in' },
};

export function isMet(need: RepositoryNeed, rights: ReadonlySet<Right>): boolean {
  return terms[need].anyOf.some((right) => rights.has(right));
}

/** The scope of a token that is good for it. */
export function scopeOf(need: RepositoryNeed, name: RepositoryName): string {
  return `repository:${name}:${terms[need].actions}`;
}

export function inWords(need: RepositoryNeed, name: RepositoryName): string {
  return `${terms[need].words} ${name}`;
}

export const catalogScope = 'registry:catalog:*';
