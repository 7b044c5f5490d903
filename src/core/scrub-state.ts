import type { Db } from '../db/prepare.ts';
import { findProperty, noteProperty } from '../db/properties.ts';

/** A pass of the scrub over all blobs and manifests; times in milliseconds since 1970. */
export interface ScrubPass {
  readonly began: number;
  blobs: number;
  /** Bytes of blobs and manifests. */
  bytes: number;
  manifests: number;
  /** Blobs that could not be read, and manifests with wrong bytes; each list has at most {@link maxListed}. */
  readonly unreadable: Problem[];
  readonly damagedManifests: Problem[];
}

export interface Problem {
  readonly subject: string;
  readonly problem: string;
  readonly affects: readonly string[];
}

export interface ScrubState {
  /** The pass that has not ended, with the digest of its last blob, or, once all blobs are read, the row id of its last manifest. */
  readonly pass?: ScrubPass & { readonly after: string | number };
  /** The last complete pass. */
  readonly last?: ScrubPass & { readonly ended: number };
}

export const maxListed = 100;

export function newPass(began: number): ScrubPass {
  return { began, blobs: 0, bytes: 0, manifests: 0, unreadable: [], damagedManifests: [] };
}

/** What was read before; empty before the first pass. */
export async function findScrub(db: Db): Promise<ScrubState> {
  return JSON.parse((await findProperty(db, 'scrub')) ?? '{}');
}

/** Must run in a transaction; if a power cut undoes it, some blobs are read again. */
export async function noteScrub(db: Db, state: ScrubState): Promise<void> {
  await noteProperty(db, 'scrub', JSON.stringify(state));
}

/**
 * The problems of the last complete pass and of the one that has not ended, each once; the marks of damaged blobs are in their rows.
 */
export function problemsOf(state: ScrubState, kind: 'unreadable' | 'damagedManifests'): Problem[] {
  const problems = [...(state.last?.[kind] ?? []), ...(state.pass?.[kind] ?? [])];
  return [...new Map(problems.map((problem) => [problem.subject, problem])).values()];
}

/**
 * The share of the blobs that the unfinished pass has read, from 0 to 1: digests are random, so that the position in their order says
 * how many come before it.
 */
export function shareRead({ after }: { readonly after: string | number }): number {
  if (typeof after === 'number') return 1;
  const [, algorithm, head] = /^(sha\d+):([0-9a-f]{8})/.exec(after) ?? [];
  if (algorithm === undefined) return 0;
  // Few blobs have a longer digest than sha256, and those come last.
  return algorithm === 'sha256' ? Number.parseInt(head as string, 16) / 2 ** 32 : 1;
}
