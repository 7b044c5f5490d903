// Which repositories a grant or a scope is about: a name, in which `*` stands for any part of one component and `**` for any
// components.
import { asName, type RepositoryName } from '../oci/name.ts';
import { Wildcards } from './wildcards.ts';

/** `acme/app`, `acme/*`, `acme/web-*`, `acme/**`, `**`; made only by {@link asPattern}. */
export type Pattern = string & { readonly __brand: 'Pattern' };

const maxLength = 255;
const starred = /^[a-z0-9*](?:[a-z0-9._*-]*[a-z0-9*])?$/;

/** The pattern that `text` spells, or `undefined`. */
export function asPattern(text: string): Pattern | undefined {
  if (text.length > maxLength) return undefined;
  return text.split('/').every(isComponent) ? (text as Pattern) : undefined;
}

/** Without a star, what a name can have: no pattern is taken that could not match anything. */
function isComponent(text: string): boolean {
  if (!text.includes('*')) return asName(text) !== undefined;
  return text === '**' || (starred.test(text) && !text.includes('**'));
}

/** Everything below a namespace. */
export function below(namespace: string): Pattern {
  return `${namespace}/**` as Pattern;
}

/** `**` is one component or more: `acme/**` is not `acme`. */
export function matches(pattern: Pattern, name: RepositoryName): boolean {
  const star = pattern.indexOf('*');
  if (star === -1) return (pattern as string) === name;
  // Most patterns are a namespace's, and most names are another's.
  return name.startsWith(pattern.slice(0, star)) && compiled(pattern).match(name);
}

/** As grants are read anew with each request, and are the same mostly. */
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

/** `*` is any letters, or none. */
export function matchText(wanted: string, given: string): boolean {
  const tokens = wanted.split(/(\*+)/).map((part) => (part.startsWith('*') ? anyLetters : part));
  return new Wildcards(tokens).match(given);
}

const anyLetters = { wildcard: 'letters' } as const;

/** What every name that matches starts with. */
export function prefixOf(pattern: Pattern): string {
  const star = pattern.indexOf('*');
  return star === -1 ? pattern : pattern.slice(0, star);
}
