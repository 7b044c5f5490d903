// Parses the scopes that clients ask the token server for: `repository:acme/app:pull,push` or `registry:catalog:*`, in repeated
// parameters and separated by spaces (Docker's "Token Scope Documentation").
import { asName, type RepositoryName } from '../../oci/name.ts';
import { type Action, asAction } from '../rights.ts';

export interface Asked {
  /** In the order of first mention. */
  readonly repositories: ReadonlyMap<RepositoryName, readonly Action[]>;
  /** The list of all repositories (`registry:catalog:*`). */
  readonly catalog: boolean;
}

const maxScopes = 100;
const maxCharacters = 8_192;

/** The request has more scopes than a token may have. The message is shown to the client. */
export class TooManyScopes extends Error {
  override readonly name = 'TooManyScopes';
}

/**
 * Ignores unknown resource types and actions, so that a client that sends them gets the rest.
 * @throws TooManyScopes
 */
export function parseAsked(parameters: readonly string[]): Asked {
  const characters = parameters.reduce((sum, { length }) => sum + length, 0);
  if (characters > maxCharacters)
    throw new TooManyScopes(`the scopes have more than ${maxCharacters} characters`);
  const scopes = parameters.flatMap((parameter) => parameter.split(' ')).filter((scope) => scope !== '');
  if (scopes.length > maxScopes) throw new TooManyScopes(`more than ${maxScopes} scopes for one token`);

  const repositories = new Map<RepositoryName, readonly Action[]>();
  let catalog = false;
  for (const { type, name, actions } of scopes.map(split)) {
    if (type === 'registry' && name === 'catalog') catalog ||= actions.includes('*');
    const repository = type === 'repository' ? asName(name) : undefined;
    if (repository === undefined) continue;
    const known = actions.map(asAction).filter((action) => action !== undefined);
    repositories.set(repository, [...new Set([...(repositories.get(repository) ?? []), ...known])]);
  }
  return { repositories, catalog };
}

/** A name may contain colons (`host:port/name`), types and actions none. A type may have a class: `repository(plugin)`. */
function split(scope: string): { type: string; name: string; actions: readonly string[] } {
  const [first, last] = [scope.indexOf(':'), scope.lastIndexOf(':')];
  return {
    type: scope.slice(0, Math.max(first, 0)),
    name: scope.slice(first + 1, last),
    actions: scope.slice(last + 1).split(','),
  };
}
