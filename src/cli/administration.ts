// What the commands have in common that change or show who may do what.
import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import type { Database } from '../db/database.ts';
import { configOf, withConfigFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { openForAdministration } from './existing.ts';

/** What a command has to say. */
export interface Answer {
  /** For people; with the line's end. */
  readonly text: string;
  /** For scripts, with `--json`. */
  readonly json: unknown;
}

export function withAdministrationFlags(command: Command): Command {
  return withConfigFlags(command).option('--json', 'Print JSON.');
}

export function withExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText('after', ['', 'Examples:', ...examples.map((line) => `  ${line}`)].join('\n'));
}

/** Opens the registry of the command's configuration, whether somebody serves it or not, works on it, prints and closes. */
export async function administer(
  command: Command,
  context: Context,
  work: (database: Database, config: Config) => Promise<Answer>,
): Promise<void> {
  const { config } = configOf(command, context);
  await using opened = new AsyncDisposableStack();
  const database = await openForAdministration(config);
  opened.defer(() => database.close());
  const { text, json } = await work(database, config);
  context.out(command.opts<{ json?: boolean }>().json ? `${JSON.stringify(json, null, 2)}\n` : text);
}
