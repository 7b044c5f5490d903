// Versions as in Semantic Versioning 2.0.0 (semver.org), and ranges of them.

/** The numbers are digits without leading zeros, and may be longer than a JavaScript number is exact. */
export interface SemanticVersion {
  readonly numbers: readonly [major: string, minor: string, patch: string];
  /** The identifiers after `-`; empty for a release. */
  readonly prerelease: readonly string[];
}

const grammar =
  /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:[+_][0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const maxLength = 256;

/**
 * `text` as a version, or `undefined`. It may begin with `v`, as tags do. Build metadata may begin with `_` instead of `+`, which no tag
 * can contain: Helm pushes chart 1.2.3+4 as tag 1.2.3_4.
 */
export function asSemanticVersion(text: string): SemanticVersion | undefined {
  const match = text.length <= maxLength ? grammar.exec(text) : null;
  if (match === null) return undefined;
  const [, major = '', minor = '', patch = '', suffix] = match;
  const prerelease = suffix?.split('.') ?? [];
  // "Numeric identifiers MUST NOT include leading zeroes."
  if (prerelease.some((identifier) => identifier.length > 1 && /^0\d*$/.test(identifier))) return undefined;
  return { numbers: [major, minor, patch], prerelease };
}

/** Compares by precedence (semver.org, 11): negative if `a` comes before `b`, 0 if they differ in build metadata only. */
export function compareVersions(a: SemanticVersion, b: SemanticVersion): number {
  for (const [i, number] of a.numbers.entries()) {
    const order = compareNumbers(number, b.numbers[i] as string);
    if (order !== 0) return order;
  }
  if (a.prerelease.length === 0 || b.prerelease.length === 0)
    return b.prerelease.length - a.prerelease.length;
  for (const [i, identifier] of a.prerelease.entries()) {
    const other = b.prerelease[i];
    if (other === undefined) return 1;
    const order = compareIdentifiers(identifier, other);
    if (order !== 0) return order;
  }
  return a.prerelease.length - b.prerelease.length;
}

function compareIdentifiers(a: string, b: string): number {
  const [aIsNumber, bIsNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (aIsNumber && bIsNumber) return compareNumbers(a, b);
  // "Numeric identifiers always have lower precedence than non-numeric identifiers."
  return aIsNumber === bIsNumber ? compareText(a, b) : Number(bIsNumber) - Number(aIsNumber);
}

function compareNumbers(a: string, b: string): number {
  return a.length === b.length ? compareText(a, b) : a.length - b.length;
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

const comparators = {
  '>=': (order: number) => order >= 0,
  '<=': (order: number) => order <= 0,
  '>': (order: number) => order > 0,
  '<': (order: number) => order < 0,
} as const;

/** Whether a version lies in a range. */
export type VersionRange = (version: SemanticVersion) => boolean;

/** Comparators that must all hold, such as `['>=1.0.0', '<2.0.0']`; `undefined` if one is invalid. */
export function asVersionRange(words: readonly string[]): VersionRange | undefined {
  const parts: VersionRange[] = [];
  for (const word of words) {
    const operator = (Object.keys(comparators) as (keyof typeof comparators)[]).find((one) =>
      word.startsWith(one),
    );
    const bound = operator && asSemanticVersion(word.slice(operator.length));
    if (bound === undefined) return undefined;
    parts.push((version) =>
      comparators[operator as keyof typeof comparators](compareVersions(version, bound)),
    );
  }
  return (version) => parts.every((holds) => holds(version));
}
