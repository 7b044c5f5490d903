/** Something in the storage tree that was not adopted, or not as it is there. */
export interface Finding {
  /** `error`: damaged or missing, so it was not adopted. `note`: left as it is on purpose, or allowed by the settings. */
  readonly severity: 'error' | 'note';
  readonly kind: FindingKind;
  /** The blob, manifest (`name@digest`), tag (`name:tag`), repository or file. */
  readonly subject: string;
  readonly problem: string;
}

export type FindingKind =
  /** A file of 0 bytes whose digest is that of other bytes. */
  | 'blob-empty'
  /** A link of a layer names a blob that the tree does not have. */
  | 'blob-missing'
  /** A link file is empty, too short, or names something else. */
  | 'link-damaged'
  | 'manifest-missing'
  | 'manifest-content'
  | 'manifest-invalid'
  | 'manifest-schema1'
  | 'manifest-large'
  | 'manifest-unreadable'
  /** Blobs or manifests that it references are missing, or have another size. */
  | 'manifest-incomplete'
  | 'tag-dangling'
  | 'tag-invalid'
  /** The tag was moved in Berth after it was last moved in the tree. */
  | 'tag-kept'
  | 'repository-invalid'
  | 'file-unknown';

export type Report = (finding: Finding) => void;
