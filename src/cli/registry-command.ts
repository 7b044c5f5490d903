// Declares and runs the commands that show or change a registry.
import type { Argument, Command, Option } from 'commander';
import type { Answer } from './answer.ts';
import { withRegistryFlags } from './config-flags.ts';
import type { Context, Define } from './context.ts';
import { Invocation } from './invocation.ts';

/** A command that opens a registry and prints an {@link Answer}, with `--json` as JSON. */
export interface RegistryCommand {
  readonly name: string;
  readonly description: string;
  readonly arguments?: readonly Argument[];
  readonly options?: readonly Option[];
  readonly examples?: readonly string[];
  /** Has `--create`: may run before the first `berth serve`. */
  readonly mayCreate?: true;
  /** @param given the values of {@link arguments}, then an object with those of {@link options}, as Commander parses them */
  run(invocation: Invocation, ...given: never[]): Promise<Answer>;
}

export interface CommandGroup {
  readonly name: string;
  readonly description: string;
  readonly commands: readonly RegistryCommand[];
}

/** Defines a command that has these subcommands, for the table in `program.ts`. */
export function subcommands(...commands: readonly (RegistryCommand | CommandGroup)[]): Define {
  return (parent, context) => {
    for (const declared of commands) {
      const command = parent.command(declared.name).description(declared.description);
      if ('commands' in declared) subcommands(...declared.commands)(command, context);
      else define(command, context, declared);
    }
  };
}

/** Defines a command without subcommands, for the table in `program.ts`, which has its name and description. */
export function singleCommand(declared: Omit<RegistryCommand, 'name' | 'description'>): Define {
  return (command, context) => define(command, context, declared);
}

function define(
  command: Command,
  context: Context,
  declared: Omit<RegistryCommand, 'name' | 'description'>,
): void {
  const { arguments: positional = [], options = [], examples = [], mayCreate = false } = declared;
  withRegistryFlags(command).option('--json', 'Print JSON.');
  for (const argument of positional) command.addArgument(argument);
  for (const option of options) command.addOption(option);
  if (mayCreate) command.option('--create', 'Create the registry first if it does not exist.');
  withExamples(command, ...examples);
  command.action(async (...given: unknown[]) => {
    const { json, create = false } = command.opts<{ json?: true; create?: true }>();
    await using invocation = new Invocation(command, context, mayCreate ? { create } : {});
    // Commander appends the command itself.
    const answer = await declared.run(invocation, ...(given.slice(0, -1) as never[]));
    context.out(json ? `${JSON.stringify(answer.json, null, 2)}\n` : answer.text);
    if (answer.failure !== undefined) throw answer.failure;
  });
}

export function withExamples(command: Command, ...examples: readonly string[]): Command {
  if (examples.length === 0) return command;
  return command.addHelpText('after', ['', 'Examples:', ...examples.map((line) => `  ${line}`)].join('\n'));
}
