import type { Namespace } from '../oci/name.ts';
import type { Actor } from './changes.ts';
import type { Db } from './prepare.ts';

/**
 * Creates a free namespace by the first push to it. `administration/` makes it, a permit of `access/` carries it, and `core/` runs it
 * in its transactions.
 */
export interface NamespaceClaim {
  readonly namespace: Namespace;
  /** Runs before an upload to the namespace begins. */
  prepare(db: Db, now: number): Promise<void>;
  /** Runs first in the transaction that stores content in the namespace. @throws RegistryError `DENIED` */
  make(db: Db, by: Actor, now: number): Promise<void>;
}
