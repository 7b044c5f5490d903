// Mistakes in a configuration, one line each.

export class ConfigError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`;
    super(`the configuration has ${count}:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'ConfigError';
    this.mistakes = mistakes;
  }
}

/** Characters. */
const LONGEST_VALUE = 80;

/** Formats a value for a mistake: short, on one line, without secrets or the credentials in a URL. */
export function formatValue(value: unknown, secret = false): string {
  if (secret) return 'a hidden value';
  const text = withoutCredentials(asJson(value));
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // An alias of YAML may be inside what it stands for.
    return 'a value that contains itself';
  }
}

function withoutCredentials(text: string): string {
  const start = text.indexOf('://');
  const end = text.lastIndexOf('@');
  return start < 0 || end < start ? text : `${text.slice(0, start + 3)}…${text.slice(end)}`;
}

/** `; did you mean listen?` if one of the names is similar enough, else ''. */
export function didYouMean(name: string, names: Iterable<string>): string {
  let nearest: string | undefined;
  let least = 1 + Math.floor(name.length / 4);
  for (const candidate of names) {
    const steps = distance(name.toLowerCase(), candidate.toLowerCase(), least);
    if (steps <= least && (nearest === undefined || steps < least)) {
      nearest = candidate;
      least = steps;
    }
  }
  return nearest === undefined ? '' : `; did you mean ${nearest}?`;
}

/** Levenshtein distance; infinite when the lengths differ by more than `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, replaced));
    }
    row = next;
  }
  return row[b.length]!;
}
