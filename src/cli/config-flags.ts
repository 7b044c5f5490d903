// The flags that every command with a configuration takes.
import { type Command, Help, Option } from 'commander';
import { type Loaded, loadConfig } from '../config/load.ts';
import { type Config, configSchema } from '../config/schema.ts';
import { settingsOf } from '../config/settings.ts';
import type { Context } from './context.ts';

/** The common settings, which the loader checks: a mistake reads the same wherever it was made. */
const options = settingsOf(configSchema).settings.flatMap(({ key, flag, description }) =>
  flag ? [{ key, option: new Option(flag, description) }] : [],
);

const file = new Option('--config <file>', 'The YAML file with the settings.');

/** For a command that serves or shows the configuration: its help has every flag of it. */
export function withConfigFlags(command: Command): Command {
  return addTo(command, () => true);
}

/** For a command about a registry: the same flags, of which its help has those that say where the registry is. */
export function withRegistryFlags(command: Command): Command {
  return addTo(command, (option) => option === file || option.long === '--data').addHelpText(
    'after',
    '\nThe other flags of `berth serve` are taken too, so that both can be given the same.',
  );
}

function addTo(command: Command, isShown: (option: Option) => boolean): Command {
  command.addOption(file);
  for (const { option } of options) command.addOption(option);
  return command.configureHelp({
    visibleOptions: (command) =>
      new Help().visibleOptions(command).filter((option) => !isConfigFlag(option) || isShown(option)),
    groupItems: ownFlagsFirst,
  });
}

/** In a command's help the flags that it shares with the others come last, below a heading of their own. */
const ownFlagsFirst: Help['groupItems'] = (_declared, shown, groupOf) => {
  const shared = shown.filter((item) => item instanceof Option && isConfigFlag(item));
  const own = shown.filter((item) => !shared.includes(item));
  const groups = new Help().groupItems(own, own, groupOf);
  if (shared.length > 0) groups.set('Configuration:', shared);
  return groups;
};

export function isConfigFlag(option: Option): boolean {
  return option === file || options.some((one) => one.option === option);
}

/** The configuration that a command was given; throws `ConfigError`. */
export function configOf(command: Command, { env }: Context): Loaded<Config> {
  const values = command.opts<Record<string, string>>();
  const flags: Record<string, string> = {};
  for (const { key, option } of options) {
    const value = values[option.attributeName()];
    if (value !== undefined) flags[key] = value;
  }
  return loadConfig({ file: values.config, env, flags });
}
