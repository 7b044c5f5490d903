import type { Actor } from '../db/changes.ts';
import type { Db } from '../db/prepare.ts';

/** A namespace that nobody has, and that becomes the pusher's with the first thing that is stored in it (see `access/`). */
export interface NamespaceClaim {
  /** Before an upload to it begins. */
  prepare(db: Db, now: number): Promise<void>;
  /** First of all in the transaction that stores something in it. @throws RegistryError `DENIED` */
  make(db: Db, by: Actor, now: number): Promise<void>;
}

/** The actor of a push, and the namespace that the push creates where it is free. */
export interface Pusher {
  readonly by: Actor;
  readonly namespace?: NamespaceClaim | undefined;
}
