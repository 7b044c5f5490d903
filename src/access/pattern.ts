// Patterns of repository names, for grants and scopes: `*` matches any part of one component, `**` one or more components.
import { asName, type RepositoryName } from '../oci/name.ts';
import { textWildcards, Wildcards } from '../oci/wildcards.ts';

/** `acme/app`, `acme/*`, `acme/web-*`, `acme/**`, `**`; made only by {@link asPattern}. */
export type Pattern = string & { readonly __brand: 'Pattern' };

const maxLength = 255;
const starred = /^[a-z0-9*](?:[a-z0-9._*-]*[a-z0-9*])?$/;

export function asPattern(text: string): Pattern | undefined {
  if (text.length > maxLength) return undefined;
  return text.split('/').every(isComponent) ? (text as Pattern) : undefined;
}

/** Rejects a component that no repository name can match. */
function isComponent(text: string): boolean {
  if (!text.includes('*')) return asName(text) !== undefined;
  return text === '**' || (starred.test(text) && !text.includes('**'));
}

export function below(namespace: string): Pattern {
  return `${namespace}/**` as Pattern;
}

/** `**` needs at least one component: `acme/**` does not match `acme`. */
export function matches(pattern: Pattern, name: RepositoryName): boolean {
  const star = pattern.indexOf('*');
  if (star === -1) return (pattern as string) === name;
  // Most names are in another namespace than the pattern: compare the literal prefix first.
  return name.startsWith(pattern.slice(0, star)) && compiled(pattern).match(name);
}

/** Compiled patterns, because each request reads its grants again from the database, and most are the same. */
const cache = new Map<Pattern, Wildcards>();
const maxCached = 1_000;

function compiled(pattern: Pattern): Wildcards {
  let wildcards = cache.get(pattern);
  if (wildcards === undefined) {
    if (cache.size === maxCached) cache.clear();
    const tokens = pattern.split(/(\*+)/).map((part) => {
      if (part.startsWith('*')) return { wildcard: part === '**' ? 'components' : 'component' } as const;
      return part;
    });
    wildcards = new Wildcards(tokens);
    cache.set(pattern, wildcards);
  }
  return wildcards;
}

/** `*` matches any characters, or none. */
export function matchText(pattern: string, text: string): boolean {
  return textWildcards(pattern).match(text);
}

/** The literal prefix of all names that match. */
export function prefixOf(pattern: Pattern): string {
  const star = pattern.indexOf('*');
  return star === -1 ? pattern : pattern.slice(0, star);
}
