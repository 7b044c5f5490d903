import type { Digest } from '../oci/digest.ts';
import type { Descriptor } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import type { ArchivedFile } from './archive.ts';

/** An entry of the archive's index. */
export interface Root extends Descriptor {
  readonly repository: RepositoryName | undefined;
  readonly tag: Tag | undefined;
}

export interface Images {
  readonly roots: readonly Root[];
  /** The manifest or blob; its bytes are not verified. @throws InvalidArchive */
  find(digest: Digest): Promise<ArchivedFile | undefined>;
}
