// What the commands have in common that change or show who may do what.
import { userInfo } from 'node:os';
import { type Command, Option } from 'commander';
import type { recordFromCli } from '../audit/from-cli.ts';
import type { Config } from '../config/schema.ts';
import type { Database } from '../db/database.ts';
import type { Inspection } from '../db/inspection.ts';
import { Failure } from '../failure.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting, openForAdministration } from './existing.ts';

/** What a command has to say. */
export interface Answer {
  /** For people; with the line's end. */
  readonly text: string;
  /** For scripts, with `--json`. */
  readonly json: unknown;
}

export function withAdministrationFlags(command: Command): Command {
  return withRegistryFlags(command).option('--json', 'Print JSON.');
}

const create = new Option('--create', 'Make the registry first, where there is none yet.');

/** For what may come before the first `berth serve`. */
export function withCreateFlag(command: Command): Command {
  return command.addOption(create);
}

export function withExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText('after', ['', 'Examples:', ...examples.map((line) => `  ${line}`)].join('\n'));
}

/** What of the registry those commands see that change nothing. */
export type Readable = Pick<Inspection, 'read' | 'clock'>;

/** What was changed, for the audit log: never a secret. */
export type Change = Parameters<typeof recordFromCli>[2];

/** Opens the registry of the command's configuration, whether somebody serves it or not, looks at it, prints and closes. */
export async function consult(
  command: Command,
  context: Context,
  look: (database: Readable) => Promise<Answer>,
): Promise<void> {
  const { refuseUnfinishedCopy } = await import('../db/properties.ts');
  await using opened = new AsyncDisposableStack();
  const database = await inspectExisting(configOf(command, context), context);
  opened.defer(() => database.close());
  await refuseUnfinishedCopy(database.read);
  print(command, context, await look(database));
}

/**
 * The same for a command that changes something: before it prints, the audit log says by whom and what. What is done is done,
 * and may have a secret that is shown this once: it is printed also when the log does not take the event.
 *
 * @throws Failure when the audit log does not have it
 */
export async function administer(
  command: Command,
  context: Context,
  work: (
    database: Database,
    config: Config,
  ) => Promise<Answer & { readonly changed: Change | readonly Change[] }>,
): Promise<void> {
  const chosen = configOf(command, context);
  await using opened = new AsyncDisposableStack();
  const database = await openForAdministration(chosen, context, {
    ...(command.options.includes(create) && { create: command.opts().create === true }),
  });
  opened.defer(() => database.close());
  const { changed, ...answer } = await work(database, chosen.config);
  try {
    const { recordFromCli } = await import('../audit/from-cli.ts');
    for (const change of [changed].flat()) await recordFromCli(database, systemUser(), change);
  } catch (cause) {
    const { message } = cause as Error;
    throw new Failure(`this was done, but is not in the audit log, which cannot be written: ${message}`, {
      cause,
    });
  } finally {
    print(command, context, answer);
  }
}

function print(command: Command, context: Context, { text, json }: Answer): void {
  context.out(command.opts<{ json?: boolean }>().json ? `${JSON.stringify(json, null, 2)}\n` : text);
}

/** What the machine calls whoever runs the command. */
function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container with any number for a user, nobody has a name.
    return `uid:${process.getuid?.()}`;
  }
}
