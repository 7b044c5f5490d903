// What one source of settings (the file, the environment, the flags) gives.
import { z } from 'zod';
import type { Setting } from './settings.ts';

export interface Given {
  readonly value: unknown;
  /** What a mistake names: `berth.yaml:3:10`, `BERTH_LOG_LEVEL` or `--log-level`. */
  readonly where: string;
}

export interface Source {
  readonly given: ReadonlyMap<string, Given>;
  readonly mistakes: readonly string[];
  /** Keys whose value could not be read, which `mistakes` tells. */
  readonly unread?: readonly string[];
}

/** Text from the environment or a flag, as the value that the same text would be in the file. */
export function fromText({ schema }: Setting, text: string): unknown {
  if (schema instanceof z.ZodBoolean && /^(true|false)$/.test(text)) return text === 'true';
  if (schema instanceof z.ZodNumber && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (schema instanceof z.ZodArray) return text === '' ? [] : text.split(',').map((entry) => entry.trim());
  return text;
}
