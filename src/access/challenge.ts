import { RegistryError } from '../oci/errors.ts';

/** RFC 6750, 3.1: why the token that came is not enough. */
export type TokenFault = 'invalid_token' | 'insufficient_scope';

/** Other credentials might do: the caller is to be told where to get a token, and for what (2.1). */
export class Challenge extends RegistryError {
  readonly fault: TokenFault | undefined;

  constructor(fault?: TokenFault, { cause, detail }: { cause?: unknown; detail?: string } = {}) {
    super(fault === 'insufficient_scope' ? 'DENIED' : 'UNAUTHORIZED', detail, { cause });
    this.fault = fault;
  }
}
