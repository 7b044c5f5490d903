import type { NamespaceClaim } from '../db/namespace-claim.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import type { NamedRepository } from '../db/repository-names.ts';
import { allVisible, type Visible } from '../db/repository-ranges.ts';
import type { RepositoryName } from '../oci/name.ts';
import { anonymousCaller, type Caller } from './caller.ts';
import { principalKey } from './identity.ts';
import type { Rights } from './rights.ts';

/** The request's name is an alias of this repository. */
export interface Alias {
  /** The repository's name now. */
  readonly name: RepositoryName;
  /** When the alias expires, in milliseconds since 1970. */
  readonly until: number;
}

/** An authorized request: its caller and rights. */
export interface Permit {
  /** The authenticated caller: the author of the changes that the request makes. */
  readonly caller: Caller;
  /** Owner of the upload sessions that the request opens; only the owner may use them. */
  readonly principal: string;
  /** Id of the authorized repository; `undefined`: any repository with the name. */
  readonly repository: number | undefined;
  /** Present if the request's name is an alias; the rights are those under the repository's name now. */
  readonly alias?: Alias | undefined;
  /** May add content and new tags. */
  readonly mayCreate: boolean;
  /** May move an existing tag. */
  readonly mayUpdate: boolean;
  /** Present if the namespace is free: the first stored content creates it. */
  readonly claim?: NamespaceClaim | undefined;
  /** Whether a blob may be mounted from the repository; `asked` is the name in the request if it is an alias. */
  readonly mayPull: (from: RepositoryRow, asked?: RepositoryName) => boolean;
  /** The repositories that the caller may list. */
  readonly visible: Visible;
}

/** The permit of every caller in a registry with `anonymous: push`. */
export const openRegistryPermit: Permit = {
  caller: anonymousCaller,
  principal: principalKey(anonymousCaller.identity.principal),
  repository: undefined,
  mayCreate: true,
  mayUpdate: true,
  mayPull: () => true,
  visible: allVisible,
};

/** The permit of a request that concerns no single repository. */
export function permitOfRegistry(caller: Caller, visible: Visible = none): Permit {
  return {
    caller,
    principal: principalKey(caller.identity.principal),
    repository: undefined,
    mayCreate: false,
    mayUpdate: false,
    mayPull: () => false,
    visible,
  };
}

const none: Visible = { ranges: [], matches: () => false };

/**
 * The permit of a request in one repository.
 * @param repository its id, or the repository as it was found by the request's name
 */
export function permitIn(
  repository: number | NamedRepository | undefined,
  caller: Caller,
  rights: Rights,
  mayPull: Permit['mayPull'],
  claim?: NamespaceClaim,
): Permit {
  return {
    caller,
    principal: principalKey(caller.identity.principal),
    ...idOf(repository),
    mayCreate: rights.has('create'),
    mayUpdate: rights.has('update'),
    claim,
    mayPull,
    visible: none,
  };
}

/** The id and, if the repository was found by an alias, the alias. */
export function idOf(repository: number | NamedRepository | undefined): Pick<Permit, 'repository' | 'alias'> {
  if (typeof repository !== 'object') return { repository };
  const { id, name, aliasUntil: until } = repository;
  return until === undefined ? { repository: id } : { repository: id, alias: { name, until } };
}
