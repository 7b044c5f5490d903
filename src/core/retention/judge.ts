// Decides by a retention policy which tags are kept. Pure: no clock, no database.
import type { RetentionPolicy, RetentionRule } from '../../config/retention-policy.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Tag } from '../../oci/reference.ts';
import { asSemanticVersion, compareVersions, type SemanticVersion } from '../../oci/semantic-version.ts';
import { asTagSelector } from '../../oci/tag-selector.ts';
import type { AppliedRule } from '../immutable-tags.ts';

/** What a decision about a tag depends on; times in milliseconds since 1970. */
export interface TagFacts {
  readonly tag: Tag;
  /** Of its last push, even if it did not move. */
  readonly pushedAt: number;
  /** Of the last pull of its manifest; absent: not since pulls are recorded. */
  readonly pulledAt?: number | undefined;
  /** The rule that makes it immutable. */
  readonly immutable?: AppliedRule | undefined;
  /** The manifest of the repository that its name belongs to: `sha256-….sig` is the signature of a manifest. */
  readonly belongsTo?: Digest | undefined;
}

/** Why a tag is kept; `rule` is a position in the policy, from 1. */
export type Reason =
  | { readonly because: 'immutable'; readonly by: AppliedRule }
  | { readonly because: 'part'; readonly of: Digest }
  | { readonly because: 'unselected' }
  | {
      readonly because: 'all' | 'newest' | 'pushed' | 'pulled' | 'pulls-unknown';
      readonly rule: number;
    };

/** `removedBy`: all rules that select the tag, of which no condition holds; positions in the policy, from 1. */
export type Verdict = { readonly kept: Reason } | { readonly removedBy: readonly number[] };

/** A rule with what the judge knows about it. */
interface Judged {
  readonly number: number;
  readonly rule: RetentionRule;
  readonly selects: (tag: Tag) => boolean;
  readonly newest: Newest | undefined;
}

/**
 * Judges the tags of one repository: first {@link rank} of all tags, in any order, then {@link judge} of each. Memory depends on the
 * policy only.
 */
export class Judge {
  readonly #rules: readonly Judged[];
  readonly #now: number;
  readonly #pullsSince: number;

  /** @param pullsSince since when pulls are recorded */
  constructor(policy: RetentionPolicy, now: number, pullsSince: number) {
    this.#now = now;
    this.#pullsSince = pullsSince;
    this.#rules = policy.rules.map((rule, at) => {
      const selects = asTagSelector(rule.tags);
      // A rule that this version cannot read must not remove a tag.
      if (selects === undefined) throw new Error(`the retention policy has an invalid rule: ${rule.tags}`);
      const { keep } = rule;
      const newest =
        // Stryker disable next-line ConditionalExpression,StringLiteral: the text all has no property newest, so the types alone need this.
        keep === 'all' || keep.newest === undefined ? undefined : new Newest(keep.newest, keep.by);
      return { number: at + 1, rule, selects, newest };
    });
  }

  /** Whether {@link rank} has an effect. */
  get ranks(): boolean {
    return this.#rules.some(({ newest }) => newest !== undefined);
  }

  /** Whether a decision may depend on the last pull. */
  get needsPulls(): boolean {
    // Stryker disable next-line ConditionalExpression,StringLiteral: the text all has no property pulledWithin, so the types alone need this.
    return this.#rules.some(({ rule: { keep } }) => keep !== 'all' && keep.pulledWithin !== undefined);
  }

  /** Enters a tag among the newest of the rules that select it. */
  rank(facts: TagFacts): void {
    if (facts.belongsTo !== undefined) return;
    for (const { selects, newest } of this.#rules) if (newest && selects(facts.tag)) newest.add(facts);
  }

  /** Needs {@link rank} of all tags before. */
  judge(facts: TagFacts): Verdict {
    if (facts.immutable !== undefined) return { kept: { because: 'immutable', by: facts.immutable } };
    if (facts.belongsTo !== undefined) return { kept: { because: 'part', of: facts.belongsTo } };
    const selecting = this.#rules.filter((one) => one.selects(facts.tag) && !one.newest?.ignores(facts.tag));
    if (selecting.length === 0) return { kept: { because: 'unselected' } };
    for (const { number, rule, newest } of selecting) {
      const because = this.#holds(rule, newest, facts);
      if (because !== undefined) return { kept: { because, rule: number } };
    }
    return { removedBy: selecting.map(({ number }) => number) };
  }

  #holds(
    { keep }: RetentionRule,
    newest: Newest | undefined,
    facts: TagFacts,
  ): 'all' | 'newest' | 'pushed' | 'pulled' | 'pulls-unknown' | undefined {
    if (keep === 'all') return 'all';
    const { pushedAt, pulledAt = 0 } = facts;
    if (newest?.has(facts)) return 'newest';
    const within = (time: number, duration = 0) => time > this.#now - duration;
    if (within(pushedAt, keep.pushedWithin)) return 'pushed';
    if (within(pulledAt, keep.pulledWithin)) return 'pulled';
    if (keep.pulledWithin === undefined) return undefined;
    // A pushed image needs time for its first pull.
    if (within(pushedAt, keep.pulledWithin)) return 'pushed';
    return within(this.#pullsSince, keep.pulledWithin) ? 'pulls-unknown' : undefined;
  }
}

/** A tag with its place in the order: later pushes and higher versions first, then names. */
interface Place {
  readonly tag: Tag;
  readonly pushedAt: number;
  readonly version: SemanticVersion | undefined;
}

/** The first N tags in an order. */
class Newest {
  readonly #count: number;
  readonly #by: 'push' | 'version';
  /** In descending order. */
  readonly #places: Place[] = [];

  // Stryker disable next-line StringLiteral: only version differs from all others.
  constructor(count: number, by: 'push' | 'version' = 'push') {
    this.#count = count;
    this.#by = by;
  }

  /** A tag that is no semantic version has no place among versions, so the rule does not select it. */
  ignores(tag: Tag): boolean {
    return this.#by === 'version' && asSemanticVersion(tag) === undefined;
  }

  add(facts: TagFacts): void {
    if (this.ignores(facts.tag)) return;
    const place = this.#placeOf(facts);
    // Stryker disable next-line ConditionalExpression,EqualityOperator: saves the work of entering a place that is left at once.
    if (this.#places.length === this.#count && compare(place, this.#places.at(-1) as Place) < 0) return;
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      // Stryker disable next-line EqualityOperator: no two tags have the same place.
      if (compare(this.#places[middle] as Place, place) >= 0) low = middle + 1;
      else high = middle;
    }
    this.#places.splice(low, 0, place);
    if (this.#places.length > this.#count) this.#places.pop();
  }

  /** Also true for a tag that was pushed after the ranking and comes before the last one. */
  has(facts: TagFacts): boolean {
    const last = this.#places.at(-1);
    // Stryker disable next-line ConditionalExpression: without a last place there are fewer; the types alone need this.
    if (last === undefined || this.#places.length < this.#count) return true;
    return compare(this.#placeOf(facts), last) >= 0;
  }

  #placeOf({ tag, pushedAt }: TagFacts): Place {
    return { tag, pushedAt, version: this.#by === 'version' ? asSemanticVersion(tag) : undefined };
  }
}

/** Positive if `a` is newer. */
function compare(a: Place, b: Place): number {
  // Stryker disable next-line LogicalOperator: all places of a list have versions, or none has.
  const versions = a.version && b.version ? compareVersions(a.version, b.version) : 0;
  // Stryker disable next-line ConditionalExpression,EqualityOperator: it does not matter which of two equal places is newer.
  return versions || a.pushedAt - b.pushedAt || (a.tag === b.tag ? 0 : a.tag < b.tag ? -1 : 1);
}
