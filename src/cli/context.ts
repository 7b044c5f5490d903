// The parts of the process that a command uses.
import type { Command } from 'commander';
import type { Environment } from '../config/environment.ts';

export interface Context {
  readonly env: Environment;
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Standard input. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Standard error is a terminal, where a line can be overwritten. */
  readonly terminal?: boolean;
  /** Asks for a line on the terminal; absent if there is none. */
  readonly ask?: (question: string) => Promise<string>;
}

/** Adds arguments, flags, action and subcommands to a command that has its name and description. */
export type Define = (command: Command, context: Context) => void;
