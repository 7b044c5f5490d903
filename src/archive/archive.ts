import type { Readable } from 'node:stream';

/** A regular file of an archive. */
export interface ArchivedFile {
  /** Bytes. */
  readonly size: number;
  /** A stream of exactly `size` bytes. */
  open(): Readable;
}

/** A directory or tar archive, whose files can be read in any order. */
export interface Archive {
  /**
   * @param path relative, such as `blobs/sha256/…`
   * @throws InvalidArchive if it is not a regular file
   */
  find(path: string): Promise<ArchivedFile | undefined>;
  close(): Promise<void>;
}
