import { RegistryError } from '../oci/errors.ts';

/** The authorized repository was deleted, and another one has its name. */
export class AnotherRepository extends RegistryError {
  constructor() {
    super('UNAUTHORIZED', 'the token was issued for an earlier repository with this name');
  }
}

/** @throws AnotherRepository if the found repository is not the authorized one */
export function checkIdentity(meant: number | undefined, found: number | undefined): void {
  if (meant !== undefined && found !== undefined && found !== meant) throw new AnotherRepository();
}
