import type { RepositoryName } from '../../oci/name.ts';
import type { Identity } from '../identity.ts';
import type { Action } from '../rights.ts';

/** The actions that a token allows in one repository. */
export interface Granted {
  readonly name: RepositoryName;
  readonly actions: readonly Action[];
  /** The repository's id when the token was issued; `undefined` if it did not exist, or the issuer knows no ids. */
  readonly repository: number | undefined;
}

/** A verified token. */
export interface BearerToken {
  readonly identity: Identity;
  /** By name. */
  readonly granted: ReadonlyMap<string, Granted>;
  /** Whether it may list the catalog. */
  readonly catalog: boolean;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

export interface TokenVerifier {
  /**
   * Returns or throws synchronously for a cached token, and with a promise for others.
   * @throws RegistryError `UNAUTHORIZED` for every reason; DatabaseUnavailable
   */
  verify(token: string): BearerToken | Promise<BearerToken>;
}

/** Seconds that the clocks of two machines may differ by. */
export const clockLeeway = 30;

/** Node accepts no longer headers. */
export const maxTokenLength = 16_384;
