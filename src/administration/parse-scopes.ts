import { Refused } from '../access/refused.ts';
import { asAction } from '../access/rights.ts';
import { parseScope, type Scope } from '../access/scope.ts';
import { quote } from '../oci/digest.ts';
import { parsePattern } from './parse-pattern.ts';

/** Enough in practice, and few enough to check at each request. */
const maxScopes = 100;

const shape = "repository:PATTERN:ACTIONS, such as 'repository:acme/app:pull,push'";

/** @throws Refused, with the invalid part in the message */
export function parseScopes(texts: readonly string[]): readonly Scope[] {
  if (texts.length > maxScopes) {
    throw new Refused(
      `a token has at most ${maxScopes} scopes: use patterns, such as repository:acme/**:pull`,
    );
  }
  return texts.map((text) => {
    const scope = parseScope(text);
    if (scope !== undefined) return scope;
    const parts = text.split(':');
    if (parts.length !== 3 || parts[0] !== 'repository') {
      throw new Refused(`${quote(text)} is not a valid scope: a scope is ${shape}`);
    }
    const [, pattern, actions] = parts as [string, string, string];
    parsePattern(pattern);
    const wrong = actions.split(',').find((action) => asAction(action) === undefined) as string;
    throw new Refused(
      `${quote(wrong)} in ${quote(text)} is not an action: the actions are pull, create, push, delete and *`,
    );
  });
}
