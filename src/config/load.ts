// One frozen configuration from a file, the environment and the flags: a flag wins over a variable, a
// variable over the file, the file over the default. All mistakes of all sources are told at once.
import { existsSync } from 'node:fs';
import type { z } from 'zod';
import { type Environment, FILE_VARIABLE, readEnvironment } from './environment.ts';
import { readConfigFile } from './file.ts';
import { type Flags, readFlags } from './flags.ts';
import { ConfigError, found } from './mistake.ts';
import { type Config, configSchema } from './schema.ts';
import { nest, type Settings, settingsOf } from './settings.ts';
import type { Given, Source } from './source.ts';

export interface Sources {
  /** The file named on the command line. */
  readonly file?: string | undefined;
  readonly env: Environment;
  readonly flags?: Flags;
}

export interface Loaded<T> {
  readonly config: T;
  /** Where each key that is not at its default was given. */
  readonly origins: ReadonlyMap<string, string>;
}

const DEFAULT_FILE = 'berth.yaml';

/** Throws `ConfigError`. */
export function loadConfig(sources: Sources): Loaded<Config> {
  return load(configSchema, sources);
}

/** `loadConfig` for any schema. */
export function load<T extends z.ZodType>(schema: T, sources: Sources): Loaded<z.output<T>> {
  const settings = settingsOf(schema);
  const file =
    sources.file ?? sources.env[FILE_VARIABLE] ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined);
  // From the strongest to the weakest: the first that gives a key wins.
  const read: Source[] = [
    readFlags(settings.settings, sources.flags ?? {}),
    readEnvironment(settings.settings, sources.env),
    ...(file === undefined ? [] : [readConfigFile(settings, file)]),
  ];
  const mistakes: string[] = [];
  const wrong = new Set<string>();
  const given = new Map<string, Given>();
  for (const source of read) {
    mistakes.push(...source.mistakes);
    for (const [key, candidate] of source.given) {
      const { schema, allowed, writeOnly } = settings.settings.find((setting) => setting.key === key)!;
      if (!schema.safeParse(candidate.value).success) {
        wrong.add(key);
        mistakes.push(
          `${candidate.where}: ${key} is ${found(candidate.value, writeOnly)}; allowed: ${allowed}`,
        );
      } else if (!given.has(key)) {
        given.set(key, candidate);
      }
    }
  }

  const parsed = schema.safeParse(nest([...given].map(([key, { value }]) => [key, value])));
  for (const issue of parsed.error?.issues ?? []) {
    const key = issue.path.join('.');
    const others = (issue.code === 'custom' && (issue.params?.with as string[])) || [];
    // What is wrong by itself is told already; a rule that it takes part in cannot be judged yet.
    if ([key, ...others].some((key) => wrong.has(key))) continue;
    mistakes.push(ruleBroken(settings, key, given, issue.message));
  }
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes);
  return { config: parsed.data, origins: new Map([...given].map(([key, { where }]) => [key, where])) };
}

/** A rule between keys: one is missing beside its sibling, or does not go with another. */
function ruleBroken({ settings }: Settings, key: string, given: ReadonlyMap<string, Given>, message: string) {
  const own = given.get(key);
  const setting = settings.find((setting) => setting.key === key);
  if (own) return `${own.where}: ${key} is ${found(own.value, setting?.writeOnly)}${message}`;
  const section = key.slice(0, key.lastIndexOf('.') + 1);
  const sibling = [...given].find(([other]) => section && other.startsWith(section))?.[1];
  return `${sibling ? `${sibling.where}: ` : ''}${key} is missing; allowed: ${setting?.allowed}`;
}
