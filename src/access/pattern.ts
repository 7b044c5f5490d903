// Which repositories a grant or a scope is about: a name, in which `*` stands for any part of one component and `**` for any
// components.
import { asName, type RepositoryName } from '../oci/name.ts';

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
  return isMatch(pattern.split('/'), name.split('/'), { star: '**', least: 1, same: matchComponent });
}

/** `*` is any letters, or none. */
export function matchComponent(wanted: string, given: string): boolean {
  return isMatch(wanted, given, { star: '*', least: 0, same: (one, other) => one === other });
}

interface Wildcard {
  readonly star: string;
  /** How many a star takes. */
  readonly least: 0 | 1;
  readonly same: (wanted: string, given: string) => boolean;
}

/** Each star takes as few as it can; only the last one met ever has to take more, so the work is bounded by the product. */
function isMatch(
  wanted: ArrayLike<string>,
  given: ArrayLike<string>,
  { star, least, same }: Wildcard,
): boolean {
  let [w, g] = [0, 0];
  let met = -1;
  let taken = 0;
  while (g < given.length) {
    if (wanted[w] === star) {
      met = w++;
      g += least;
      taken = g;
    } else if (w < wanted.length && same(wanted[w] as string, given[g] as string)) {
      w++;
      g++;
    } else if (met >= 0) {
      w = met + 1;
      g = ++taken;
    } else {
      return false;
    }
  }
  while (least === 0 && wanted[w] === star) w++;
  return w === wanted.length;
}

/** What every name that matches starts with. */
export function prefixOf(pattern: Pattern): string {
  const star = pattern.indexOf('*');
  return star === -1 ? pattern : pattern.slice(0, star);
}
