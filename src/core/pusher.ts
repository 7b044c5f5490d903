import type { Actor } from '../db/changes.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';

/** The actor of a push, and the claim of a free namespace, if any. */
export interface Pusher {
  readonly by: Actor;
  readonly namespace?: NamespaceClaim | undefined;
}
