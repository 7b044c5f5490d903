// docs/reference/cli.md: the commands, as they describe themselves.
import type { Argument, Command, Option } from 'commander';
import { isConfigFlag } from './config-flags.ts';

/** The page about all commands below `root`. */
export function commandPage(root: Command): string {
  const lines = [INTRODUCTION, ...root.commands.flatMap((command) => describe(command, [root.name()]))];
  return `${lines.join('\n')}\n`;
}

/** The commands that do something, with the words that name them. */
export function leavesOf(
  command: Command,
  above: readonly string[] = [],
): { words: string[]; command: Command }[] {
  const words = [...above, command.name()];
  if (command.commands.length === 0) return [{ words, command }];
  return command.commands.flatMap((child) => leavesOf(child, words));
}

function describe(command: Command, above: readonly string[]): string[] {
  const words = [...above, command.name()];
  const heading = `${'#'.repeat(words.length)} ${words.join(' ')}`;
  const text = ['', heading, '', command.description()];
  if (command.commands.length > 0) {
    return [...text, ...command.commands.flatMap((child) => describe(child, words))];
  }
  const own = command.options.filter((option) => !isConfigFlag(option) && !option.hidden);
  const withConfig = command.options.some(isConfigFlag);
  const usage = [
    ...words,
    ...command.registeredArguments.map(nameOf),
    ...(own.length > 0 ? ['[options]'] : []),
    ...(withConfig ? ['[configuration flags]'] : []),
  ];
  // One whose name says it all has no description.
  const described = command.registeredArguments.filter(({ description }) => description !== '');
  const items = [...described.map(describeArgument), ...own.map(describeOption)];
  const examples = examplesOf(command);
  return [
    ...text,
    ...['', '```text', usage.join(' '), '```'],
    ...(items.length > 0 ? ['', ...items] : []),
    ...(examples === undefined ? [] : ['', '```text', examples, '```']),
  ];
}

function nameOf(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}

function describeArgument(argument: Argument): string {
  return `- \`${nameOf(argument)}\`: ${argument.description}`;
}

function describeOption({ flags, description, argChoices, defaultValue, mandatory }: Option): string {
  const notes = [
    ...(argChoices ? [`one of ${argChoices.map((choice) => `\`${choice}\``).join(', ')}`] : []),
    ...(typeof defaultValue === 'string' ? [`\`${defaultValue}\` by default`] : []),
    ...(mandatory ? ['has to be given'] : []),
  ];
  return `- \`${flags}\`: ${[description.replace(/\.$/, ''), ...notes].join('; ')}.`;
}

/** They are part of the help alone. */
function examplesOf(command: Command): string | undefined {
  let help = '';
  const output = command.configureOutput();
  command.configureOutput({ writeOut: (text) => (help += text) });
  command.outputHelp();
  command.configureOutput(output);
  return /\nExamples:\n(.*)$/s.exec(help)?.[1]?.replace(/^ {2}/gm, '').trimEnd();
}

const INTRODUCTION = `<!-- Made by \`berth reference\` from src/cli: change the commands, not this page. -->
# Commands

\`berth --help\` lists them, and each has a \`--help\` of its own. \`npm install --global .\` in a checkout puts \`berth\` on the path.

- **Configuration flags** are \`--config <file>\` and those that a [setting](config.md) names; \`BERTH_…\` variables count as well.
  Give a command what \`berth serve\` is given and it finds the same registry. Without \`--config\` and \`BERTH_CONFIG\` both read
  \`berth.yaml\` in the working directory or, without one, \`/etc/berth/berth.yaml\`. The first line on standard error says which registry it is.
- \`berth serve\` makes a registry where there is none; other commands refuse, save for those with \`--create\`, which is for what comes before the first start.
- \`user\`, \`org\`, \`team\` and \`robot\` work while the registry runs. A registry that is [read-only](#berth-read-only) refuses their changes.
- What a command has to say goes to standard output, with \`--json\` as JSON; what went wrong to standard error.
- The exit code is 0; 1 when what was asked for could not be done; 2 when the command line or the configuration is wrong.`;
