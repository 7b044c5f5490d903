import type { Actor } from '../db/changes.ts';
import type { Db } from '../db/prepare.ts';

/** Creates a free namespace for the pusher with the first content stored in it (see `access/`). */
export interface NamespaceClaim {
  /** Runs before an upload to the namespace begins. */
  prepare(db: Db, now: number): Promise<void>;
  /** Runs first in the transaction that stores content. @throws RegistryError `DENIED` */
  make(db: Db, by: Actor, now: number): Promise<void>;
}

/** The actor of a push, and the claim of a free namespace, if any. */
export interface Pusher {
  readonly by: Actor;
  readonly namespace?: NamespaceClaim | undefined;
}
