// Rules for the claims of an ID token: the name of a claim, and a pattern for its value, in which `*` is any text.
import { matchText } from '../pattern.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** Claim → pattern. A dot is part of a claim's name, or separates the names of nested objects: `kubernetes.io.namespace`. */
export type ClaimRules = Readonly<Record<string, string>>;

/** One sentence for each broken rule, with the value that broke it. */
export function brokenRules(rules: ClaimRules, claims: Claims): string[] {
  return Object.entries(rules).flatMap(([name, pattern]) => {
    const values = valuesAt(claims, name);
    if (values.length === 0) return [`the token has no claim "${name}"`];
    // Every reading of an ambiguous name has to match, so that no reading evades the rule.
    if (values.every((value) => textsOf(value).some((text) => matchText(pattern, text)))) return [];
    return [`claim "${name}" is ${values.map(shown).join(' and ')}, which does not match "${pattern}"`];
  });
}

/** The values of a claim: one for each way to read the dots in its name that leads to a value. */
function valuesAt(claims: Claims, name: string): unknown[] {
  const found: unknown[] = Object.hasOwn(claims, name) ? [claims[name]] : [];
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
    const outer = name.slice(0, dot);
    const inner = Object.hasOwn(claims, outer) ? claims[outer] : undefined;
    if (isObject(inner)) found.push(...valuesAt(inner, name.slice(dot + 1)));
  }
  return found;
}

/** A list matches if one of its entries does; an object never does. */
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
