// What a token is asked for, or is good for at most: `repository:acme/app:pull,push`, several parted by spaces.
import type { RepositoryName } from '../oci/name.ts';
import { asPattern, matches, type Pattern } from './pattern.ts';
import { type Action, asAction, type Rights, rightsOfActions, union } from './rights.ts';

/** What a credential is good for at most, on the repositories that the pattern matches. */
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

/** As they are kept in the database. Throws at what {@link printScopes} never wrote: it must not be taken for no bound. */
export function readScopes(text: string): readonly Scope[] {
  if (text === '') return [];
  return text.split(' ').map((one) => {
    const scope = parseScope(one);
    if (scope === undefined) throw new Error(`the database has ${JSON.stringify(one)} for a scope`);
    return scope;
  });
}

export function printScopes(scopes: readonly Scope[]): string {
  return scopes.map(printScope).join(' ');
}

/** The rights that the scopes leave to whoever has all of them. */
export function rightsInScopes(scopes: readonly Scope[], name: RepositoryName): Rights {
  const matching = scopes.filter(({ pattern }) => matches(pattern, name));
  return union(matching.map(({ actions }) => rightsOfActions(actions)));
}
