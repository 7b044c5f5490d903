import type { Generated } from 'kysely';

/** The tables, as Kysely sees them; `migrations/` makes them. Times are milliseconds since 1970. */
export interface Schema {
  repositories: RepositoriesTable;
  blobs: BlobsTable;
  repository_blobs: RepositoryBlobsTable;
  manifests: ManifestsTable;
  manifest_references: ManifestReferencesTable;
  tags: TagsTable;
  uploads: UploadsTable;
  leases: LeasesTable;
  properties: PropertiesTable;
}

interface RepositoriesTable {
  id: Generated<number>;
  name: string;
  created_at: number;
}

/** One row for each digest that ever had bytes; it outlives them, so that a generation is never used twice. */
interface BlobsTable {
  digest: string;
  size: number;
  /** Which key holds the bytes; one higher each time a deletion of the former ones was decided. */
  generation: number;
  state: BlobState;
  created_at: number;
  /** Not to be deleted before this time; every sign of interest moves it. */
  review_at: number;
}

export type BlobState = 'stored' | 'deleting' | 'deleted';

/** A repository holds a blob: bytes uploaded there, or mounted from where the caller may pull. */
interface RepositoryBlobsTable {
  repository_id: number;
  digest: string;
  created_at: number;
}

interface ManifestsTable {
  id: Generated<number>;
  repository_id: number;
  digest: string;
  media_type: string;
  bytes: Uint8Array;
  size: number;
  subject_digest: string | null;
  artifact_type: string | null;
  /** JSON object, copied into the referrers listing. */
  annotations: string | null;
  created_at: number;
}

/** What a manifest needs in order to be pulled: its blobs and, for an index, its children. */
interface ManifestReferencesTable {
  manifest_id: number;
  digest: string;
  kind: 'blob' | 'child';
}

interface TagsTable {
  repository_id: number;
  name: string;
  manifest_id: number;
  updated_at: number;
}

interface UploadsTable {
  id: string;
  repository_id: number;
  algorithm: string;
  /** Bytes received, all of them staged in the store. */
  size: number;
  /** Digest of exactly those bytes. */
  digest: string;
  created_at: number;
  updated_at: number;
  /** Who writes now, until when; null: nobody. */
  writer: string | null;
  writer_until: number;
  /** Where the store has the bytes; only the store reads it. */
  staged: string;
}

/** Background work that one process does for all. */
interface LeasesTable {
  name: string;
  holder: string;
  held_until: number;
}

/** What is true of the registry as a whole. */
interface PropertiesTable {
  name: string;
  value: string;
}
