// Applies a retention policy to a repository. The same code explains, plans and removes.
import type { RetentionPolicy } from '../../config/retention-policy.ts';
import { Work } from '../../db/in-turns.ts';
import { heldManifests } from '../../db/manifests.ts';
import { nextTurn } from '../../db/next-turn.ts';
import type { Db } from '../../db/prepare.ts';
import { listChildren, listReferrers } from '../../db/referrers.ts';
import { listPagedManifests } from '../../db/retention.ts';
import { sliceSize } from '../../db/slices.ts';
import { listTagsWithManifests, type TagWithManifest } from '../../db/tags.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { wholeOf } from '../../oci/part-tags.ts';
import type { TagRule } from '../../oci/tag-rule.ts';
import { type AppliedRule, appliedRules, ruleFor } from '../immutable-tags.ts';
import { lastPulls } from '../pulls.ts';
import { Judge, type TagFacts, type Verdict } from './judge.ts';
import { findUnused, type UntaggedTerms, type UnusedManifest } from './untagged.ts';

/** Removes what was judged; each resolves to false if it changed or was used since. */
export interface Remover {
  /** @param pulledAt a later pull keeps the tag; absent: pulls do not matter @param rules positions in the policy, from 1 */
  tag(tag: TagWithManifest, pulledAt: number | undefined, rules: readonly number[]): Promise<boolean>;
  manifest(manifest: UnusedManifest, terms: UntaggedTerms): Promise<boolean>;
}

export interface RetentionTerms {
  readonly read: Db;
  /** The configured rules of immutable tags. */
  readonly immutableTags: readonly TagRule[];
  /** The times that follow are milliseconds since 1970. */
  readonly now: number;
  /** Since when pulls are recorded. */
  readonly pullsSince: number;
  /** Since when all moves of tags are recorded. */
  readonly movesSince: number;
  /** Absent: nothing is removed. */
  readonly remover?: Remover | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A decision; times in milliseconds since 1970. */
export type Judgement =
  | {
      readonly kind: 'tag';
      readonly facts: TagFacts & Pick<TagWithManifest, 'digest'>;
      readonly verdict: Verdict;
      /** False if it stays, or changed or was used since it was judged. */
      readonly removed: boolean;
    }
  | { readonly kind: 'manifest'; readonly manifest: UnusedManifest; readonly removed: boolean };

/** Rows of one query. */
const [tagsPage, manifestsPage] = [500, 1_000];

/**
 * Judges all tags of a repository in byte order, and then yields its manifests to remove. Reads the tags twice if the policy has a rule
 * with `newest`. Its memory does not depend on the repository, except that without a remover it remembers the manifests to remove.
 */
export async function* retain(
  terms: RetentionTerms,
  { id, name }: { readonly id: number; readonly name: RepositoryName },
  policy: RetentionPolicy,
): AsyncGenerator<Judgement> {
  const { read, now, remover, signal } = terms;
  const judge = new Judge(policy, now, terms.pullsSince);
  const immutable = await appliedRules(read, terms.immutableTags, name);
  const repository = { id, immutable, pulls: judge.needsPulls };
  const work = new Work();
  if (judge.ranks) {
    for await (const { facts } of factsOf(terms, { ...repository, pulls: false })) {
      judge.rank(facts);
      if (work.turnIsOver) await work.pause(signal);
    }
  }
  for await (const { row, facts } of factsOf(terms, repository)) {
    const verdict = judge.judge(facts);
    const removed =
      'removedBy' in verdict &&
      ((await remover?.tag(row, judge.needsPulls ? (facts.pulledAt ?? 0) : undefined, verdict.removedBy)) ??
        true);
    yield { kind: 'tag', facts: { ...facts, digest: row.digest }, verdict, removed };
    if (work.turnIsOver) await work.pause(signal);
  }
  if (policy.untagged === undefined || unknownUse(terms, policy) !== undefined) return;
  const usedSince = now - policy.untagged.removeAfter;
  yield* removeUnused(terms, { repository: id, immutable, usedSince, removed: new Set() });
}

/**
 * What may be unknown of the last use of a manifest without tags, so that none is removed: a pull, or the move of its last tag. Both
 * are recorded only since a time. `undefined`: nothing, or the policy keeps them all.
 */
export function unknownUse(
  { now, pullsSince, movesSince }: Pick<RetentionTerms, 'now' | 'pullsSince' | 'movesSince'>,
  { untagged }: RetentionPolicy,
): 'pulls' | 'moves' | undefined {
  if (untagged === undefined) return undefined;
  const usedSince = now - untagged.removeAfter;
  return pullsSince >= usedSince ? 'pulls' : movesSince >= usedSince ? 'moves' : undefined;
}

/** The tags of a repository with the facts about them. */
async function* factsOf(
  { read, signal }: RetentionTerms,
  { id, immutable, pulls }: { id: number; immutable: readonly AppliedRule[]; pulls: boolean },
): AsyncGenerator<{ row: TagWithManifest; facts: TagFacts }> {
  for (let after = ''; ; ) {
    const rows = await listTagsWithManifests(read, id, after, tagsPage);
    const wholes = rows.map(({ tag }) => wholeOf(tag)).filter((digest) => digest !== undefined);
    const held = await heldManifests(read, id, wholes);
    const last = pulls ? await lastPulls(read, rows) : undefined;
    for (const row of rows) {
      const { tag, updated_at: pushedAt } = row;
      const whole = wholeOf(tag);
      const belongsTo = whole !== undefined && held.has(whole) ? whole : undefined;
      const pulledAt = last?.get(row.id);
      yield { row, facts: { tag, pushedAt, pulledAt, immutable: ruleFor(immutable, tag), belongsTo } };
    }
    if (rows.length < tagsPage) return;
    after = rows.at(-1)?.tag as string;
    await nextTurn(signal);
  }
}

/** Removes unused manifests, and then those that only they kept: their children and referrers. */
async function* removeUnused(
  { read, remover, signal }: RetentionTerms,
  terms: UntaggedTerms & { readonly removed: Set<number> },
): AsyncGenerator<Judgement> {
  const pause = () => nextTurn(signal);
  const { repository, removed: planned } = terms;
  for (let after = ''; ; ) {
    const page = await listPagedManifests(read, repository, after, manifestsPage);
    let open = page.filter(({ tagged, listed }) => !tagged && !listed).map(({ id }) => id);
    while (open.length > 0) {
      const next: number[] = [];
      for (let start = 0; start < open.length; start += manifestsPage) {
        for (const manifest of await findUnused(
          read,
          terms,
          open.slice(start, start + manifestsPage),
          pause,
        )) {
          const kept = await keptBy(read, repository, manifest, pause);
          const removed = (await remover?.manifest(manifest, terms)) ?? true;
          yield { kind: 'manifest', manifest, removed };
          if (!removed) continue;
          next.push(...kept);
          if (remover === undefined) planned.add(manifest.id);
        }
      }
      open = next;
    }
    if (page.length < manifestsPage) return;
    after = page.at(-1)?.digest as string;
    await pause();
  }
}

/** Row ids of the children and referrers of a manifest. */
async function keptBy(
  db: Db,
  repository: number,
  { id, digest }: UnusedManifest,
  pause: () => Promise<void>,
): Promise<number[]> {
  const ids: number[] = [];
  for (let after = ''; ; await pause()) {
    const children = await listChildren(db, repository, id, after);
    ids.push(...children.map((child) => child.id));
    if (children.length < sliceSize) break;
    after = children.at(-1)?.digest as string;
  }
  for (let after = { rank: 0, digest: '' }; ; await pause()) {
    const referrers = await listReferrers(db, repository, digest, { after, limit: sliceSize });
    ids.push(...referrers.map((referrer) => referrer.id));
    if (referrers.length < sliceSize) return ids;
    after = referrers.at(-1) as (typeof referrers)[0];
  }
}
