import { isDeepStrictEqual } from 'node:util';
import type { Db } from '../../db/prepare.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { Clock } from '../clock.ts';
import type { MissingReferences } from '../manifests.ts';
import type { Objection } from '../store-identity.ts';

export interface Finding {
  /** `error`: stored data is damaged or missing. `note`: remains of a crash, which garbage collection deletes, or allowed by the settings. */
  readonly severity: 'error' | 'note';
  readonly kind: FindingKind;
  /** The row or file. */
  readonly subject: string;
  readonly problem: string;
  /** Affected images and repositories: `name:tag`, `name@digest` or `name`; after {@link maxAffected} of them, `more`. */
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
  | 'blob-damaged'
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
  | 'usage-wrong'
  | 'upload-short'
  | 'upload-lost'
  | 'upload-orphan'
  | 'file-unknown';

/** How much was checked, to distinguish 'no damage' from 'no data'. */
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

/** The parts that all checks use. */
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

/** Maximum number of images and repositories that a finding lists. */
export const maxAffected = 5;

/**
 * Reports what `check` finds in a row, if the row is still the same afterwards. If a running registry has changed the row meanwhile,
 * the finding may be wrong, and the row is checked again.
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
