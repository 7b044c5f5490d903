/** A file or an object below a store's root. */
export interface TreeFile {
  /** Its path from the store's root, with slashes. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970 of the last write. */
  readonly modifiedAt: number;
}

/** The files of a store, whatever they are. Reads only. */
export interface StoreTree {
  /**
   * All files below a folder, whose name ends with a slash; none if it is missing. Names of files and folders beside each other come in
   * ascending order. May omit a file that is deleted meanwhile.
   */
  list(folder: string): AsyncIterable<TreeFile>;

  /** Counts the files below a folder: the sum of the results, which come as the folder is read, is their number. */
  count(folder: string): AsyncIterable<number>;

  /** The bytes of a file; `undefined` if it does not exist. @throws FileTooLarge if it has more than `limit` */
  read(key: string, limit: number): Promise<Buffer | undefined>;

  close(): Promise<void>;
}

/** A file has more bytes than may be read. */
export class FileTooLarge extends Error {
  override readonly name = 'FileTooLarge';

  constructor(key: string, size: number, limit: number) {
    super(`${key} has ${size} bytes, more than ${limit}`);
  }
}
