// The rights that requests need, and the token scope that a challenge names.
import type { RepositoryName } from '../oci/name.ts';
import type { Right } from './rights.ts';

/** Need in one repository. `create`: add content. `push`: add content or move a tag; which of them is known only later. */
export type RepositoryNeed = 'pull' | 'create' | 'push' | 'delete';

/** Need in the registry as a whole. `base`: `GET /v2/`. */
export type RegistryNeed = 'base' | 'catalog';

interface Terms {
  /** The request may begin with any one of these rights. */
  readonly anyOf: readonly Right[];
  /** Actions of the token scope to ask for. */
  readonly actions: string;
  /** For messages; the repository's name follows. */
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

/** The token scope that fulfils the need. */
export function neededScope(need: RepositoryNeed, name: RepositoryName): string {
  return `repository:${name}:${terms[need].actions}`;
}

export function inWords(need: RepositoryNeed, name: RepositoryName): string {
  return `${terms[need].words} ${name}`;
}

export const catalogScope = 'registry:catalog:*';
