import { anonymousIdentity, type Identity } from './identity.ts';
import type { BearerToken } from './tokens/token-verifier.ts';

/** The sender of a request. */
export interface Caller {
  readonly identity: Identity;
  /** Present when the request carried a token, which then bounds the rights. */
  readonly token?: BearerToken;
}

/** The caller of a request without credentials. */
export const anonymousCaller: Caller = { identity: anonymousIdentity };
