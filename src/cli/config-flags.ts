// The flags that every command with a configuration takes.
import { type Command, Help, Option } from 'commander';
import { type Loaded, loadConfig } from '../config/load.ts';
import { type Config, configSchema } from '../config/schema.ts';
import { settingsOf } from '../config/settings.ts';
import type { Context } from './context.ts';

/** The flags of common settings. The loader checks their values, so errors are the same as for the file. */
const options = settingsOf(configSchema).settings.flatMap(({ key, flag, description }) =>
  flag ? [{ key, option: new Option(flag, description) }] : [],
);

const file = new Option('--config <file>', 'The YAML file with the settings.');

/** For commands that serve the registry or show its configuration: the help lists every flag. */
export function withConfigFlags(command: Command): Command {
  return addTo(command, () => true);
}

/** For commands about a registry: accepts every flag, but the help lists only those that locate the registry. */
export function withRegistryFlags(command: Command): Command {
  return addTo(command, (option) => option === file || option.long === '--data').addHelpText(
    'after',
    '\nThe other flags of `berth serve` are accepted too, so both can be called with the same flags.',
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

/** In a command's help the shared flags come last, below their own heading. */
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

/** Loads the configuration from a command's flags and environment. @throws ConfigError */
export function configOf(command: Command, { env }: Context): Loaded<Config> {
  const values = command.opts<Record<string, string>>();
  const flags: Record<string, string> = {};
  for (const { key, option } of options) {
    const value = values[option.attributeName()];
    if (value !== undefined) flags[key] = value;
  }
  return loadConfig({ file: values.config, env, flags });
}
