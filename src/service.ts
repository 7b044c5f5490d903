/** The address of a listening service. */
export interface Listening {
  readonly url: string;
  readonly operationsUrl?: string;
}

/** A registry for the process that runs it: the app, or the primary of the workers. */
export interface Service {
  listen(): Promise<Listening>;
  /** Lets running transfers end, then closes everything; ends within `shutdown.drainTimeout`. */
  close(): Promise<void>;
}
