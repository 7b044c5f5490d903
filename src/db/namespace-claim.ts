import type { Namespace } from '../oci/name.ts';
import type { Actor } from './changes.ts';
import type { Db } from './prepare.ts';

/**
 * Gives a free namespace to the user who first pushes to it. `administration/` creates the claim, a permit of `access/` contains it,
 * and `core/` runs it in its transactions.
 */
export interface NamespaceClaim {
  readonly namespace: Namespace;
  /** Runs before an upload to the namespace begins. */
  prepare(db: Db, now: number): Promise<void>;
  /** Runs first in the transaction that stores content in the namespace. @throws RegistryError `DENIED` */
  make(db: Db, by: Actor, now: number): Promise<void>;
}
