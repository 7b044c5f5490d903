// Settings from the command line.
import type { Setting } from './settings.ts';
import { fromText, type Given, type Source } from './source.ts';

/** Text of the given flags, by setting: `{ 'log.level': 'debug' }`. */
export type Flags = Readonly<Record<string, string>>;

export function readFlags(settings: readonly Setting[], flags: Flags): Source {
  const given = new Map<string, Given>();
  for (const setting of settings) {
    const text = flags[setting.key];
    if (text !== undefined && setting.flag) {
      given.set(setting.key, { value: fromText(setting, text), where: setting.flag.split(' ')[0]! });
    }
  }
  return { given, mistakes: [] };
}
