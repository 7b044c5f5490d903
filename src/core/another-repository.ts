import { RegistryError } from '../oci/errors.ts';

/** What the caller was let in for is gone, and another repository has its name. */
export class AnotherRepository extends RegistryError {
  constructor() {
    super('UNAUTHORIZED', 'this is another repository than the token was made for');
  }
}

/** @throws AnotherRepository when there is one and it is not the one that was meant */
export function checkIdentity(meant: number | undefined, found: number | undefined): void {
  if (meant !== undefined && found !== undefined && found !== meant) throw new AnotherRepository();
}
