// Merges a file, the environment and flags into one frozen configuration: a flag wins over a variable, a
// variable over the file, the file over the default. Reports all mistakes of all sources at once.
import { existsSync } from 'node:fs';
import type { z } from 'zod';
import { type Environment, FILE_VARIABLE, readEnvironment } from './environment.ts';
import { readConfigFile } from './file.ts';
import { type Flags, readFlags } from './flags.ts';
import { ConfigError, formatValue } from './mistake.ts';
import { type Config, configSchema } from './schema.ts';
import { nest, type Settings, settingsOf } from './settings.ts';
import type { Given, Source } from './source.ts';

export interface Sources {
  /** The file named on the command line. */
  readonly file?: string | undefined;
  /** Paths tried when no file is named; the first existing one is used. */
  readonly places?: readonly string[];
  readonly env: Environment;
  readonly flags?: Flags;
}

export interface Loaded<T> {
  readonly config: T;
  /** The file that was read. */
  readonly file: string | undefined;
  /** The source of each key that was given: `berth.yaml:3:10`, a variable or a flag. */
  readonly origins: ReadonlyMap<string, string>;
}

/** The file in the working directory, then the file of the machine. */
export const defaultFiles: readonly string[] = ['berth.yaml', '/etc/berth/berth.yaml'];

/** @throws ConfigError */
export function loadConfig(sources: Sources): Loaded<Config> {
  return load(configSchema, sources);
}

/** `loadConfig` for any schema. @throws ConfigError */
export function load<T extends z.ZodType>(schema: T, sources: Sources): Loaded<z.output<T>> {
  const settings = settingsOf(schema);
  const { places = defaultFiles } = sources;
  const file = sources.file ?? sources.env[FILE_VARIABLE] ?? places.find((place) => existsSync(place));
  // In order of precedence: the first source that has a key wins.
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
          mistakes.push(
            `${candidate.where}: ${name} is ${formatValue(value, writeOnly)}; allowed: ${allowed}`,
          );
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
    // Invalid values are reported already; rules that involve them cannot be checked yet.
    if ([key, ...others].some((key) => wrong.has(key))) continue;
    mistakes.push(ruleBroken(settings, key, given, issue.message, others));
  }
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes);
  return { config: parsed.data, file, origins: new Map([...given].map(([key, { where }]) => [key, where])) };
}

/** The key and value, or each invalid entry of a list: `storage.s3.streamTo[1]`. */
function wrongParts(key: string, value: unknown, { issues }: z.ZodError): [name: string, value: unknown][] {
  const entries = new Set(issues.flatMap(({ path }) => path.slice(0, 1) as number[]));
  if (!Array.isArray(value) || entries.size === 0) return [[key, value]];
  return [...entries].map((entry) => [`${key}[${entry}]`, value[entry]]);
}

/** Message for a violated rule between keys: one is missing, or conflicts with another. */
function ruleBroken(
  { settings }: Settings,
  key: string,
  given: ReadonlyMap<string, Given>,
  message: string,
  others: readonly string[],
): string {
  const isBelow = (other: string, section: string) => section !== '' && other.startsWith(`${section}.`);
  // A violation of a section is reported for the first key given in it.
  const name = given.has(key) ? key : [...given.keys()].find((other) => isBelow(other, key));
  const setting = settings.find((setting) => setting.key === (name ?? key));
  if (name) {
    const { value, where } = given.get(name)!;
    return `${where}: ${name} is ${formatValue(value, setting?.writeOnly)}${message}`;
  }
  const section = key.slice(0, Math.max(0, key.lastIndexOf('.')));
  const present = [...others, ...given.keys()].find(
    (other) => given.has(other) && (others.includes(other) || isBelow(other, section)),
  );
  const place = present ? `${given.get(present)!.where}: ` : '';
  return `${place}${key} is missing; allowed: ${setting?.allowed}`;
}
