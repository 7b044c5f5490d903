import { isDeepStrictEqual } from 'node:util';
import type { Db } from '../../db/prepare.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { Clock } from '../clock.ts';
import type { MissingReferences } from '../manifests.ts';
import type { Objection } from '../store-identity.ts';

/** A defect. */
export interface Finding {
  /** An error breaks a promise. A note is what a crash leaves for the sweeper, or what the settings allow. */
  readonly severity: 'error' | 'note';
  readonly kind: FindingKind;
  /** The row or file. */
  readonly subject: string;
  readonly problem: string;
  /** Affected images and repositories: `name:tag`, `name@digest` or `name`, at most {@link maxAffected}. */
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

/** How much was checked: no finding over no data proves nothing. */
export interface Walked {
  repositories: number;
  blobs: number;
  /** Bytes of blobs read and hashed. */
  bytes: number;
  links: number;
  manifests: number;
  tags: number;
  uploads: number;
  files: number;
}

/** Shared by all parts of the walk. */
export interface Walk {
  readonly read: Db;
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Whether to read and hash every blob. */
  readonly readData: boolean;
  readonly missingReferences: MissingReferences;
  readonly walked: Walked;
  report(finding: Finding): void;
}

/** One more than a finding lists, to show that there are more. */
export const maxAffected = 5;

/**
 * Reports what `check` finds in a row, if the row is still the same afterwards. In a live registry it may have changed or gone
 * while its files were checked; the finding would then prove nothing.
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
