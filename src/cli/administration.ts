// The common parts of commands that change or show accounts and rights.

import { type Command, Option } from 'commander';
import { type ActingDatabase, actAs } from '../administration/change.ts';
import type { Config } from '../config/schema.ts';
import type { Inspection } from '../db/inspection.ts';
import { refuseUnfinishedCopy } from '../db/properties.ts';
import { commandActor } from './command-actor.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting, openForAdministration } from './existing.ts';

/** The output of a command. */
export interface Answer {
  /** For people; ends with a newline. */
  readonly text: string;
  /** For scripts, with `--json`. */
  readonly json: unknown;
}

export function withAdministrationFlags(command: Command): Command {
  return withRegistryFlags(command).option('--json', 'Print JSON.');
}

const create = new Option('--create', 'Create the registry first if it does not exist.');

/** For commands that may run before the first `berth serve`. */
export function withCreateFlag(command: Command): Command {
  return command.addOption(create);
}

export function withExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText('after', ['', 'Examples:', ...examples.map((line) => `  ${line}`)].join('\n'));
}

/** The parts of the registry for commands that change nothing. */
export type Readable = Pick<Inspection, 'read' | 'clock'>;

/** Opens the registry of the command's configuration, which may be running, prints what `look` returns, and closes it. */
export async function consult(
  command: Command,
  context: Context,
  look: (database: Readable) => Promise<Answer>,
): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const database = await inspectExisting(configOf(command, context), context);
  opened.defer(() => database.close());
  await refuseUnfinishedCopy(database.read);
  print(command, context, await look(database));
}

/** {@link consult} for a command that changes something, as the user of the operating system. */
export async function administer(
  command: Command,
  context: Context,
  work: (database: ActingDatabase, config: Config) => Promise<Answer>,
): Promise<void> {
  const chosen = configOf(command, context);
  await using opened = new AsyncDisposableStack();
  const database = await openForAdministration(chosen, context, {
    ...(command.options.includes(create) && { create: command.opts().create === true }),
  });
  opened.defer(() => database.close());
  print(command, context, await work(actAs(database, commandActor()), chosen.config));
}

function print(command: Command, context: Context, { text, json }: Answer): void {
  context.out(command.opts<{ json?: boolean }>().json ? `${JSON.stringify(json, null, 2)}\n` : text);
}
