import { anonymousIdentity, type Identity } from './identity.ts';
import type { BearerToken } from './tokens/token-verifier.ts';

/** The sender of a request. */
export interface Caller {
  readonly identity: Identity;
  /** The bearer token of the request, which limits the rights; absent: none was sent. */
  readonly token?: BearerToken;
}

/** The caller of a request without credentials. */
export const anonymousCaller: Caller = { identity: anonymousIdentity };
