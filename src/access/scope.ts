// Scopes, which limit the rights of a token: `repository:acme/app:pull,push`, several separated by spaces.
import type { RepositoryName } from '../oci/name.ts';
import { asPattern, matches, type Pattern } from './pattern.ts';
import { type Action, asAction, type Rights, rightsOfActions, union } from './rights.ts';

/** Limits a credential to these actions in the repositories that match. */
export interface Scope {
  readonly pattern: Pattern;
  readonly actions: readonly Action[];
}

/** `repository:PATTERN:ACTION,…`, or `undefined`. */
export function parseScope(text: string): Scope | undefined {
  const parts = text.split(':');
  if (parts.length !== 3 || parts[0] !== 'repository') return undefined;
  const [, resource, list] = parts as [string, string, string];
  const pattern = asPattern(resource);
  const actions = list.split(',').map(asAction);
  if (pattern === undefined || actions.includes(undefined)) return undefined;
  return { pattern, actions: [...new Set(actions as Action[])] };
}

export function printScope({ pattern, actions }: Scope): string {
  return `repository:${pattern}:${actions.join(',')}`;
}

/**
 * Reads the database's form. Throws at text that {@link printScopes} did not write, because an unreadable limit must not become
 * no limit.
 */
export function readScopes(text: string): readonly Scope[] {
  if (text === '') return [];
  return text.split(' ').map((one) => {
    const scope = parseScope(one);
    if (scope === undefined) throw new Error(`invalid scope in the database: ${JSON.stringify(one)}`);
    return scope;
  });
}

export function printScopes(scopes: readonly Scope[]): string {
  return scopes.map(printScope).join(' ');
}

/** All rights that the scopes allow in the repository. */
export function rightsInScopes(scopes: readonly Scope[], name: RepositoryName): Rights {
  const matching = scopes.filter(({ pattern }) => matches(pattern, name));
  return union(matching.map(({ actions }) => rightsOfActions(actions)));
}
