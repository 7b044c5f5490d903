// The repositories that a caller may list, as ranges of names, so that a query need not read all names.
import { allVisible, everyName, liesIn, type NameRange, type Visible } from '../db/repository-ranges.ts';
import { type Entitlements, rightsOn } from './entitlements.ts';
import { type Pattern, prefixOf } from './pattern.ts';
import type { AnonymousAccess } from './policy.ts';
import { rightsOfActions } from './rights.ts';
import type { Scope } from './scope.ts';

/** A caller may list the repositories that it may pull. */
export function visibleTo(entitlements: Entitlements, policy: AnonymousAccess): Visible {
  const { administrator, scopes } = entitlements;
  const everywhere = administrator || policy === 'pull' || policy === 'push';
  if (everywhere && scopes === undefined) return allVisible;
  const held = everywhere ? [everyName] : heldRanges(entitlements, policy);
  return {
    ranges: scopes === undefined ? held : held.flatMap((range) => within(range, scopeRanges(scopes))),
    matches: (name, visibility) => rightsOn(entitlements, name, visibility, policy).has('pull'),
  };
}

/** Ranges of grants, and public repositories if the caller may see them. */
function heldRanges({ anonymous, grants }: Entitlements, policy: AnonymousAccess): readonly NameRange[] {
  const granted = grants.filter(({ rights }) => rights.has('pull')).map(({ pattern }) => rangeOf(pattern));
  return anonymous && policy === 'none' ? granted : [...granted, { ...everyName, publicOnly: true }];
}

function scopeRanges(scopes: readonly Scope[]): readonly NameRange[] {
  return scopes
    .filter(({ actions }) => rightsOfActions(actions).has('pull'))
    .map(({ pattern }) => rangeOf(pattern));
}

function rangeOf(pattern: Pattern): NameRange {
  const prefix = prefixOf(pattern);
  return { prefix, exact: prefix === pattern, publicOnly: false };
}

/** The intersection of a range with the union of others. */
function within(range: NameRange, others: readonly NameRange[]): NameRange[] {
  const { publicOnly } = range;
  return others.flatMap((other) => {
    if (liesIn(range, other)) return [range];
    return liesIn(other, range) ? [{ ...other, publicOnly }] : [];
  });
}
