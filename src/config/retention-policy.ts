// Reads retention policies from files in YAML or JSON.
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { asTagSelector, tagSelectorForm } from '../oci/tag-selector.ts';
import { didYouMean, formatValue } from './mistake.ts';
import { choice, count, duration } from './values.ts';

/** Each tag is judged by all rules that select it. */
const maxRules = 100;
/** The newest tags of each rule are in memory while a repository is judged. */
const maxNewest = 10_000;

const time = () => duration({ min: '1h', max: '3650d' });

const conditions = z
  .strictObject({
    newest: count({ min: 1, max: maxNewest }).exactOptional(),
    by: choice(['push', 'version']).exactOptional(),
    pushedWithin: time().exactOptional(),
    pulledWithin: time().exactOptional(),
  })
  .readonly()
  // Without a condition the rule would remove every tag that it selects. A lone by would look like one.
  .refine(({ by: _, ...keep }) => Object.keys(keep).length > 0)
  .refine(
    ({ by, newest, ...keep }) => by === undefined || newest !== undefined || Object.keys(keep).length === 0,
  );

const rule = z
  .strictObject({
    tags: z.string().refine((text) => asTagSelector(text) !== undefined),
    keep: z.union([z.literal('all'), conditions]),
  })
  .readonly();

const schema = z
  .strictObject({
    rules: z.array(rule).max(maxRules).readonly(),
    untagged: z.strictObject({ removeAfter: time() }).readonly().exactOptional(),
  })
  .readonly();

/**
 * Which tags of a repository are kept, and for how long manifests without tags are. Durations are milliseconds. Its meaning is
 * described in `docs/reference/retention-policies.md`.
 */
export type RetentionPolicy = z.output<typeof schema>;
export type RetentionRule = RetentionPolicy['rules'][number];

/** The policy as in a file, with durations as text. */
export function writtenPolicy(policy: RetentionPolicy): z.input<typeof schema> {
  return schema.encode(policy);
}

/** For each key, what is allowed. */
const allowed: Readonly<Record<string, string>> = {
  rules: `a list of at most ${maxRules} rules, each with the keys tags and keep; [] keeps all tags`,
  tags: tagSelectorForm,
  keep: 'all, or at least one of the keys newest (perhaps with by), pushedWithin and pulledWithin',
  newest: `a whole number from 1 to ${maxNewest}`,
  by: 'push or version',
  pushedWithin: 'a duration from 1h to 3650d, such as 30d',
  pulledWithin: 'a duration from 1h to 3650d, such as 30d',
  untagged: 'the key removeAfter',
  removeAfter: 'a duration from 1h to 3650d, such as 7d',
};
const topLevel = 'the keys rules and untagged';

/** @param file its name, for the mistakes @returns the policy, or one line for each mistake */
export function parseRetentionPolicy(
  file: string,
  text: string,
): { readonly policy: RetentionPolicy } | { readonly mistakes: readonly string[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0)
    return { mistakes: problems.map(({ pos, message }) => `${at(pos[0])}: ${message}`) };
  let given: unknown;
  try {
    given = document.toJS();
  } catch (error) {
    // Too many aliases.
    return { mistakes: [`${file}: ${(error as Error).message}`] };
  }
  const parsed = schema.safeParse(given);
  if (parsed.success) return { policy: parsed.data };
  return {
    mistakes: parsed.error.issues
      .flatMap((issue) => flat(issue))
      .map(({ path, unknown }) => `${at(offsetOf(document, path))}: ${describe(document, path, unknown)}`),
  };
}

interface Mistake {
  readonly path: readonly PropertyKey[];
  readonly unknown?: string;
}

/** The mistakes of an issue; those of an invalid `keep` are of its keys. */
function flat(issue: z.core.$ZodIssue): Mistake[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((unknown) => ({ path: [...issue.path, unknown], unknown }));
  }
  if (issue.code !== 'invalid_union') return [{ path: issue.path }];
  const inner = issue.errors.at(-1) ?? [];
  return inner.flatMap(flat).map((mistake) => ({ ...mistake, path: [...issue.path, ...mistake.path] }));
}

function describe(document: Document, path: readonly PropertyKey[], unknown: string | undefined): string {
  const name = path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`))
    .join('');
  const key = path.findLast((part) => typeof part === 'string') as string | undefined;
  if (unknown !== undefined) {
    const around = path.findLast((part) => typeof part === 'string' && part !== unknown) as
      | string
      | undefined;
    const here = around === undefined ? topLevel : allowed[around];
    return `unknown key ${name}${didYouMean(unknown, Object.keys(allowed)) || `; allowed: ${here}`}`;
  }
  const node = document.getIn(path, true);
  const value: unknown = isNode(node) ? node.toJS(document) : node;
  const what = path.length === 0 ? 'the file' : name;
  const is = value === undefined ? 'is missing' : value === null ? 'is empty' : `is ${formatValue(value)}`;
  return `${what} ${is}; allowed: ${key === undefined ? topLevel : allowed[key]}`;
}

/** The position of a value, or of the nearest value around it. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length >= 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}
