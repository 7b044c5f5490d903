// What the claims of an ID token have to be like: a claim's name, and a pattern of its value, in which `*` is any text.
import { matchText } from '../pattern.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** Claim → pattern. A dot in a claim's name leads into an object, or is a dot: `kubernetes.io.namespace`. */
export type ClaimRules = Readonly<Record<string, string>>;

/** A sentence for each rule that the claims break; what they say is in it. */
export function brokenRules(rules: ClaimRules, claims: Claims): string[] {
  return Object.entries(rules).flatMap(([name, pattern]) => {
    const values = valuesAt(claims, name);
    if (values.length === 0) return [`the token has no claim "${name}"`];
    // A name that can be read in two ways is no way around a rule.
    if (values.every((value) => textsOf(value).some((text) => matchText(pattern, text)))) return [];
    return [`claim "${name}" is ${values.map(shown).join(' and ')}, which does not match "${pattern}"`];
  });
}

/** What the name can mean: each way to read its dots that leads to a value. */
function valuesAt(claims: Claims, name: string): unknown[] {
  const found: unknown[] = Object.hasOwn(claims, name) ? [claims[name]] : [];
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
    const outer = name.slice(0, dot);
    const inner = Object.hasOwn(claims, outer) ? claims[outer] : undefined;
    if (isObject(inner)) found.push(...valuesAt(inner, name.slice(dot + 1)));
  }
  return found;
}

/** A list is what any of its entries is; an object is no text. */
function textsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter(isPlain).map(String);
}

function isPlain(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function isObject(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const maxShown = 200;

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= maxShown ? text : `${text.slice(0, maxShown)}…`;
}
