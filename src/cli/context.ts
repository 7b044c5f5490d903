// What a command gets from the process that runs it.
import type { Environment } from '../config/environment.ts';

export interface Context {
  readonly env: Environment;
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Standard input, which only some commands read. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Standard error is a terminal, where a line can take the place of another. */
  readonly terminal?: boolean;
}
