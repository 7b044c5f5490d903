import { asPattern, type Pattern } from '../access/pattern.ts';
import { Refused } from '../access/refused.ts';
import { quote } from '../oci/digest.ts';

/** @throws Refused */
export function parsePattern(text: string): Pattern {
  const pattern = asPattern(text);
  if (pattern !== undefined) return pattern;
  throw new Refused(
    `${quote(text)} is not a valid pattern: a pattern is a repository's name, with * for any part of one component, ` +
      'and ** for any components, such as acme/app, acme/web-* or acme/**',
  );
}
