// Values of options that several commands have.
import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../config/units.ts';

export const timeForms =
  'a duration before now, such as 7d or 12h, a day in UTC, such as 2026-01-31, or a time, such as 2026-01-31T12:00:00Z';
const day = /^\d{4}-\d\d-\d\d$/;
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/;

/** Parses a time in one of {@link timeForms} to milliseconds since 1970. @throws InvalidArgumentError */
export function asTime(text: string): number {
  const ago = parseDuration(text);
  if (ago !== undefined) return Date.now() - ago;
  const time = day.test(text) || instant.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new InvalidArgumentError(`Allowed: ${timeForms}.`);
  return time;
}

/** Parses the maximum number of rows to print. @throws InvalidArgumentError */
export function asLimit(text: string): number {
  const limit = Number(text);
  if (!/^\d{1,5}$/.test(text) || limit === 0) throw new InvalidArgumentError('Allowed: 1 to 99999.');
  return limit;
}
