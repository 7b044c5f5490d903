import type { Actor } from '../db/changes.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';

/** The actor of a push, and what the push was authorized for. */
export interface Pusher {
  readonly by: Actor;
  /** Present if the namespace is free: the push creates it. */
  readonly namespace?: NamespaceClaim | undefined;
  /** Id of the repository; absent: it did not exist. */
  readonly repository?: number | undefined;
}
