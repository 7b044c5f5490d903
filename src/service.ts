/** The address of a listening service. */
export interface Listening {
  readonly url: string;
  readonly operationsUrl?: string;
}

/** A registry that a process can start and stop: the app, or the primary of the workers. */
export interface Service {
  listen(): Promise<Listening>;
  /** Waits at most `shutdown.drainTimeout` for running transfers, then closes everything. */
  close(): Promise<void>;
}
