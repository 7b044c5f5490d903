import { RegistryError } from '../oci/errors.ts';

/** Why a token was not accepted (RFC 6750, 3.1). */
export type TokenFault = 'invalid_token' | 'insufficient_scope';

/** The request needs other credentials. The answer says where to get a token, and with which scope (RFC 6750, 3). */
export class Challenge extends RegistryError {
  readonly fault: TokenFault | undefined;

  constructor(fault?: TokenFault, { cause, detail }: { cause?: unknown; detail?: string } = {}) {
    super(fault === 'insufficient_scope' ? 'DENIED' : 'UNAUTHORIZED', detail, { cause });
    this.fault = fault;
  }
}
