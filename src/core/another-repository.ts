import { RegistryError } from '../oci/errors.ts';

/** The repository that the request was authorized for was deleted, and another repository has its name now. */
export class AnotherRepository extends RegistryError {
  constructor() {
    super('UNAUTHORIZED', 'the token was issued for an earlier repository with this name');
  }
}

/**
 * Compares the ids of two repositories; an undefined id matches any.
 * @throws AnotherRepository if the found repository is not the authorized one
 */
export function checkIdentity(authorized: number | undefined, found: number | undefined): void {
  if (authorized !== undefined && found !== undefined && found !== authorized) throw new AnotherRepository();
}
