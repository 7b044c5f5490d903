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
  /** Where a file that nobody names is looked for; the first one counts. */
  readonly places?: readonly string[];
  readonly env: Environment;
  readonly flags?: Flags;
}

export interface Loaded<T> {
  readonly config: T;
  /** The file that was read. */
  readonly file: string | undefined;
  /** Where each key that is not at its default was given. */
  readonly origins: ReadonlyMap<string, string>;
}

/** In the working directory, and where the machine's own registry has it. */
export const defaultFiles: readonly string[] = ['berth.yaml', '/etc/berth/berth.yaml'];

/** Throws `ConfigError`. */
export function loadConfig(sources: Sources): Loaded<Config> {
  return load(configSchema, sources);
}

/** `loadConfig` for any schema. */
export function load<T extends z.ZodType>(schema: T, sources: Sources): Loaded<z.output<T>> {
  const settings = settingsOf(schema);
  const { places = defaultFiles } = sources;
  const file = sources.file ?? sources.env[FILE_VARIABLE] ?? places.find((place) => existsSync(place));
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
    for (const key of source.unread ?? []) wrong.add(key);
    for (const [key, candidate] of source.given) {
      const { schema, allowed, writeOnly } = settings.settings.find((setting) => setting.key === key)!;
      const { error } = schema.safeParse(candidate.value);
      if (error) {
        wrong.add(key);
        for (const [name, value] of wrongParts(key, candidate.value, error)) {
          mistakes.push(`${candidate.where}: ${name} is ${found(value, writeOnly)}; allowed: ${allowed}`);
        }
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
    mistakes.push(ruleBroken(settings, key, given, issue.message, others));
  }
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes);
  return { config: parsed.data, file, origins: new Map([...given].map(([key, { where }]) => [key, where])) };
}

/** The value by its key, or each wrong entry of a list: `storage.s3.streamTo[1]`. */
function wrongParts(key: string, value: unknown, { issues }: z.ZodError): [name: string, value: unknown][] {
  const entries = new Set(issues.flatMap(({ path }) => path.slice(0, 1) as number[]));
  if (!Array.isArray(value) || entries.size === 0) return [[key, value]];
  return [...entries].map((entry) => [`${key}[${entry}]`, value[entry]]);
}

/** A rule between keys: one is missing beside its sibling, or does not go with another. */
function ruleBroken(
  { settings }: Settings,
  key: string,
  given: ReadonlyMap<string, Given>,
  message: string,
  others: readonly string[],
): string {
  const isBelow = (other: string, section: string) => section !== '' && other.startsWith(`${section}.`);
  // What is wrong with a whole section is told of the first key that was given in it.
  const name = given.has(key) ? key : [...given.keys()].find((other) => isBelow(other, key));
  const setting = settings.find((setting) => setting.key === (name ?? key));
  if (name) {
    const { value, where } = given.get(name)!;
    return `${where}: ${name} is ${found(value, setting?.writeOnly)}${message}`;
  }
  const section = key.slice(0, Math.max(0, key.lastIndexOf('.')));
  const beside = [...others, ...given.keys()].find(
    (other) => given.has(other) && (others.includes(other) || isBelow(other, section)),
  );
  const place = beside ? `${given.get(beside)!.where}: ` : '';
  return `${place}${key} is missing; allowed: ${setting?.allowed}`;
}
