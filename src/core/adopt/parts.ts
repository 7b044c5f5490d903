import type { Actor } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import type { TagRule } from '../../oci/tag-rule.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { StoreTree } from '../../storage/store-tree.ts';
import type { MissingReferences } from '../manifests.ts';
import type { Report } from './finding.ts';

export interface AdoptParts {
  readonly database: Database;
  /** The store, opened for inspection: it is not Berth's yet. */
  readonly store: BlobStore;
  /** The files of the same store. */
  readonly tree: StoreTree;
  readonly by: Actor;
  readonly missingReferences: MissingReferences;
  /** The configured rules of immutable tags. */
  readonly immutableTags: readonly TagRule[];
  /** The largest manifest that is read, in bytes. */
  readonly maxManifest: number;
  readonly signal: AbortSignal;
  readonly report: Report;
  readonly progress: {
    /** A part of the work begins. */
    readonly begin: (name: string, unit: string, total: number) => void;
    /** Corrects the total. */
    readonly expect: (total: number) => void;
    readonly add: (count: number) => void;
  };
}

/** Concurrent reads of a store. A bucket answers this many as fast as one. */
export const concurrency = 16;
/** Blobs, links or tags that are looked up or written at a time. */
export const batch = 500;

/** Numbers of what the tree has and was adopted, and, of these, what this run has added to the database. */
export interface Adopted {
  repositories: number;
  /** Blob files, and their bytes. */
  blobs: number;
  bytes: number;
  manifests: number;
  tags: number;
  /** Unfinished uploads' files, which stay as they are. */
  uploads: number;
  /** Files that could not be read. */
  unreadable: number;
  added: { links: number; manifests: number; tags: number };
}
