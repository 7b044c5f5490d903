/** Where a service listens. */
export interface Listening {
  readonly url: string;
  readonly operationsUrl?: string;
}

/** A registry as the process that runs it sees it: the app, or the primary of its workers. */
export interface Service {
  listen(): Promise<Listening>;
  /** Lets running transfers end, then closes everything; ends within `shutdown.drainTimeout`. */
  close(): Promise<void>;
}
