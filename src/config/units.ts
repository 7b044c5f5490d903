// Sizes and durations in written form. The parsers return `undefined` for invalid text and never throw; the
// schema then reports a mistake with the allowed values.

const SIZES = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const DURATIONS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** At most 15 digits: the number is exact, and matching takes bounded time. */
export const SIZE_PATTERN = /^(\d{1,15})(B|KiB|MiB|GiB|TiB)?$/;
export const DURATION_PATTERN = /^(\d{1,15})(ms|s|m|h|d)$/;

/** `4MiB`, `512KiB` or plain bytes, as bytes. */
export function parseSize(text: string): number | undefined {
  return parse(text, SIZE_PATTERN, SIZES, 'B');
}

/** `500ms`, `30s` or `24h`, as milliseconds. The unit is required. */
export function parseDuration(text: string): number | undefined {
  return parse(text, DURATION_PATTERN, DURATIONS, 'ms');
}

/** The shortest text that `parseSize` parses to the same number. */
export function formatSize(bytes: number): string {
  return format(bytes, SIZES);
}

/** The shortest text that `parseDuration` parses to the same number. */
export function formatDuration(milliseconds: number): string {
  return format(milliseconds, DURATIONS);
}

function parse(text: string, pattern: RegExp, units: Record<string, number>, plain: string) {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const value = Number(match[1]) * units[match[2] ?? plain]!;
  return Number.isSafeInteger(value) ? value : undefined;
}

function format(value: number, units: Record<string, number>): string {
  const fits = Object.entries(units).filter(([, factor]) => value % factor === 0 && value >= factor);
  const [unit, factor] = fits.at(-1) ?? Object.entries(units)[0]!;
  return `${value / factor}${unit}`;
}
