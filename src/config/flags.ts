// Settings from the command line.
import type { Setting } from './settings.ts';
import { fromText, type Given, type Source } from './source.ts';

/** The text of each flag that was given, by the flag's name: `{ 'log-level': 'debug' }`. */
export type Flags = Readonly<Record<string, string>>;

export function readFlags(settings: readonly Setting[], flags: Flags): Source {
  const given = new Map<string, Given>();
  for (const setting of settings) {
    const text = setting.flag === undefined ? undefined : flags[setting.flag];
    if (text !== undefined) {
      given.set(setting.key, { value: fromText(setting, text), where: `--${setting.flag}` });
    }
  }
  return { given, mistakes: [] };
}
