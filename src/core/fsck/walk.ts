import { isDeepStrictEqual } from 'node:util';
import type { Db } from '../../db/prepare.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { Clock } from '../clock.ts';
import type { MissingReferences } from '../manifests.ts';
import type { Objection } from '../store-identity.ts';

/** Something that is not as it should be. */
export interface Finding {
  /** An error breaks a promise; a note is what a crash leaves for the sweeper, or what the settings allow. */
  readonly severity: 'error' | 'note';
  readonly kind: FindingKind;
  /** What it is about: a row or a file. */
  readonly subject: string;
  readonly problem: string;
  /** Who suffers: `name:tag`, `name@digest` or `name`, at most {@link maxAffected} of them. */
  readonly affects: readonly string[];
}

export type FindingKind =
  | Objection
  | 'database-damaged'
  | 'row-broken'
  | 'blob-missing'
  | 'blob-unreadable'
  | 'blob-size'
  | 'blob-content'
  | 'blob-orphan'
  | 'blob-parked'
  | 'link-broken'
  | 'manifest-content'
  | 'manifest-size'
  | 'manifest-invalid'
  | 'manifest-record'
  | 'manifest-blob'
  | 'manifest-child'
  | 'tag-broken'
  | 'upload-short'
  | 'upload-lost'
  | 'upload-orphan'
  | 'file-unknown';

/** How much was looked at; a clean result over nothing proves nothing. */
export interface Walked {
  repositories: number;
  blobs: number;
  /** Bytes of blobs that were read and hashed. */
  bytes: number;
  links: number;
  manifests: number;
  tags: number;
  uploads: number;
  files: number;
}

/** What every part of the walk works with. */
export interface Walk {
  readonly read: Db;
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Whether every blob is read and hashed. */
  readonly readData: boolean;
  readonly missingReferences: MissingReferences;
  readonly walked: Walked;
  report(finding: Finding): void;
}

/** One more than a finding names tells that there are more. */
export const maxAffected = 5;

/**
 * Reports what `check` finds in a row, if the row is the same afterwards: in a live registry it may have changed, or gone, while
 * its files were looked at, and then what was seen says nothing.
 */
export async function checkRow<Row>(
  row: Row,
  readAgain: () => Promise<Row | undefined>,
  check: (row: Row) => Promise<Finding[]>,
  report: (finding: Finding) => void,
): Promise<void> {
  for (let current: Row | undefined = row; current !== undefined; ) {
    const found = await check(current);
    if (found.length === 0) return;
    const after = await readAgain();
    if (isDeepStrictEqual(after, current)) return found.forEach(report);
    current = after;
  }
}
