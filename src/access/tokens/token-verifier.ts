import type { RepositoryName } from '../../oci/name.ts';
import type { Identity } from '../identity.ts';
import type { Action } from '../rights.ts';

/** What a token is good for in one repository. */
export interface Granted {
  readonly name: RepositoryName;
  readonly actions: readonly Action[];
  /** The repository's id when the token was made; `undefined` when there was none of that name, or the issuer knows no ids. */
  readonly repository: number | undefined;
}

/** A token that was shown and holds. */
export interface BearerToken {
  readonly identity: Identity;
  /** By name. */
  readonly granted: ReadonlyMap<string, Granted>;
  /** Whether it is good for the list of all repositories. */
  readonly catalog: boolean;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

export interface TokenVerifier {
  /**
   * Throws when the token is known already, and rejects else.
   * @throws RegistryError `UNAUTHORIZED`, for whatever reason; DatabaseUnavailable
   */
  verify(token: string): BearerToken | Promise<BearerToken>;
}

/** Seconds by which the clocks of two machines may differ. */
export const clockLeeway = 30;

/** No header that Node accepts holds a longer one. */
export const maxTokenLength = 16_384;
