import type { Actor } from '../db/changes.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';

/** The actor of a push, and the claim that creates its namespace if the namespace is free. */
export interface Pusher {
  readonly by: Actor;
  readonly namespace?: NamespaceClaim | undefined;
}
