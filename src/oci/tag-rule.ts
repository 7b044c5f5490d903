// Rules that select tags: `v*`, `semver`, `semver >=1.0.0 <2.0.0`, each perhaps with exceptions, `v* except *-dev *-rc*`.
import type { Tag } from './reference.ts';
import { asSemanticVersion, asVersionRange } from './semantic-version.ts';
import { textWildcards } from './wildcards.ts';

/** A rule with single spaces between its words; made only by {@link asTagRule}. */
export type TagRule = string & { readonly __brand: 'TagRule' };

/** Describes the form of a rule, for messages. */
export const tagRuleForm =
  'a pattern (v*, where * matches any characters), semver (every semantic version) or semver >=1.0.0 <2.0.0 (those in a range), each perhaps with exceptions (v* except *-dev nightly)';

/** Characters. */
const maxLength = 255;
const glob = /^[a-zA-Z0-9_.*-]{1,128}$/;

/** `text` as a rule, or `undefined`. */
export function asTagRule(text: string): TagRule | undefined {
  if (text.length > maxLength) return undefined;
  const rule = text.split(' ').filter((word) => word !== '');
  return compile(rule) && (rule.join(' ') as TagRule);
}

export function selects(rule: TagRule, tag: Tag): boolean {
  return compiled(rule)(tag);
}

type Selects = (tag: Tag) => boolean;

/** Compiled rules, because each push that moves a tag reads its rules again from the database. */
const cache = new Map<TagRule, Selects>();
const maxCached = 1_000;

function compiled(rule: TagRule): Selects {
  let found = cache.get(rule);
  if (found === undefined) {
    if (cache.size === maxCached) cache.clear();
    found = compile(rule.split(' ')) as Selects;
    cache.set(rule, found);
  }
  return found;
}

function compile(words: readonly string[]): Selects | undefined {
  // A tag may be named 'except', so the first word never separates.
  const at = words.indexOf('except', 1);
  const [pattern = '', ...range] = at === -1 ? words : words.slice(0, at);
  const exceptions = at === -1 ? [] : words.slice(at + 1);
  if (at !== -1 && exceptions.length === 0) return undefined;
  if (![pattern, ...exceptions].every((word) => glob.test(word))) return undefined;
  if (pattern !== 'semver' && range.length > 0) return undefined;
  const included = pattern === 'semver' ? versionsIn(range) : likeGlob(pattern);
  if (included === undefined) return undefined;
  const excepted = exceptions.map(likeGlob);
  return (tag) => included(tag) && !excepted.some((matches) => matches(tag));
}

function versionsIn(words: readonly string[]): Selects | undefined {
  const range = asVersionRange(words);
  if (range === undefined) return undefined;
  return (tag) => {
    const version = asSemanticVersion(tag);
    return version !== undefined && range(version);
  };
}

function likeGlob(pattern: string): Selects {
  const wildcards = textWildcards(pattern);
  return (tag) => wildcards.match(tag);
}
