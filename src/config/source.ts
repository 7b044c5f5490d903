// One source of settings: the file, the environment or the flags.
import { z } from 'zod';
import type { Setting } from './settings.ts';

export interface Given {
  readonly value: unknown;
  /** The origin, for messages: `berth.yaml:3:10`, `BERTH_LOG_LEVEL` or `--log-level`. */
  readonly where: string;
}

export interface Source {
  readonly given: ReadonlyMap<string, Given>;
  readonly mistakes: readonly string[];
  /** Keys whose value could not be read, as reported in `mistakes`. */
  readonly unread?: readonly string[];
}

/** Converts text of a variable or a flag to the value that it would be in the file. */
export function fromText({ schema }: Setting, text: string): unknown {
  if (schema instanceof z.ZodBoolean && /^(true|false)$/.test(text)) return text === 'true';
  if (schema instanceof z.ZodNumber && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (schema instanceof z.ZodArray) return text === '' ? [] : text.split(',').map((entry) => entry.trim());
  return text;
}
