import type { Readable } from 'node:stream';
import { asDigest, type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';

/** Where a blob's bytes are; made only by {@link blobKey}. */
export type BlobKey = string & { readonly __brand: 'BlobKey' };

/**
 * CNCF distribution's layout, so that its directories and buckets can be adopted as they are. The first bytes of a digest
 * go to `data`. Once a deletion was decided, new bytes go to the next generation's key, which that deletion, however
 * late or often it is carried out, does not touch.
 */
export function blobKey(digest: Digest, generation: number): BlobKey {
  const hex = digestHex(digest);
  const folder = `docker/registry/v2/blobs/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}`;
  return `${folder}/data${generation === 0 ? '' : `.${generation}`}` as BlobKey;
}

/** Where the store's marker is: at the top of it, beside no blob and no upload. */
export const markerKey = 'berth-store.json';
/** What {@link BlobStore.ping} writes again and again. */
export const probeKey = 'berth-probe';

const keyPattern =
  /^docker\/registry\/v2\/blobs\/(sha256|sha512)\/[0-9a-f]{2}\/([0-9a-f]{64,128})\/data(?:\.(\d{1,9}))?$/;

/** What a key stands for, or `undefined` for a file that is no blob of Berth's. */
export function parseBlobKey(key: string): { digest: Digest; generation: number } | undefined {
  const [, algorithm, hex, generation] = keyPattern.exec(key) ?? [];
  const digest = asDigest(`${algorithm}:${hex}`);
  return digest && { digest, generation: Number(generation ?? 0) };
}

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** An open file. */
export interface BlobFile {
  readonly fd: number;
  /** Bytes of the whole blob. */
  readonly size: number;
  close(): void;
}

/** Bytes that come from elsewhere: exactly the range that was asked for. */
export interface BlobStream {
  readonly stream: Readable;
  /** Bytes of the whole blob. */
  readonly size: number;
  close(): void;
}

/** Committed bytes, opened. Whoever got them closes them. */
export type OpenBlob = BlobFile | BlobStream;

/** Something found by listing. */
export interface StoredFile<Name extends string> {
  readonly name: Name;
  /** Milliseconds since 1970 of the last write. */
  readonly modifiedAt: number;
}

/** Bytes that an upload has, or had, in the store. */
export interface StagedFile extends StoredFile<string> {
  /** The id of the upload. */
  readonly upload: string;
}

/** An upload, as its session's row has it. */
export interface StagedUpload {
  readonly id: string;
  /** Bytes of it that count; there may be more behind them, of an append that nobody recorded. */
  readonly size: number;
  /** Where they are: what {@link BlobStore.append} or {@link BlobStore.adopt} said last, empty before. The store's secret. */
  readonly staged: string;
}

export interface AppendOptions {
  /** Sees every chunk, once, in order, before it is written. */
  readonly tap: (chunk: Buffer) => void;
  /** Ends the append as a broken connection would, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface AppendResult extends Pick<StagedUpload, 'size' | 'staged'> {
  /** Why the body ended early, if it did: the client hung up, or was too slow. */
  readonly interrupted?: Error;
}

/**
 * Holds bytes and knows nothing of repositories, tags or requests. Uploads are staged until they are committed to a key.
 * Any failure of the storage below is thrown as it came.
 */
export interface BlobStore {
  /**
   * Whether a commit moves the staged bytes: before it they may be gone after a power cut, after it they are staged no more. Where
   * it copies them they are as durable as committed ones, and stay until {@link abort}.
   */
  readonly commitMoves: boolean;

  /** Opens committed bytes, all or a range of them. Absent bytes are `undefined`; a failure to look is thrown. */
  read(key: BlobKey, range?: ByteRange): Promise<OpenBlob | undefined>;

  stat(key: BlobKey): Promise<{ size: number } | undefined>;

  /** Deletes committed bytes; done already is done. Only for whoever has fenced the deletion (see `jobs/sweep.ts`). */
  delete(key: BlobKey): Promise<void>;

  /** Every key that holds bytes, in no order. Never a reason to believe that something is not there. */
  list(): AsyncIterable<StoredFile<BlobKey>>;

  /**
   * Appends `body` to the upload's first `size` bytes, cutting off what an earlier, unfinished append may have left behind
   * them. Resolves when the body has ended, in one way or another, and its bytes are written (where a rename commits them, not
   * yet synced): they count once the session's row says so. A body without bytes changes nothing.
   * @throws UploadLost when fewer bytes are staged than the upload's size and there is one to append
   */
  append(upload: StagedUpload, body: Readable, options: AppendOptions): Promise<AppendResult>;

  /**
   * Takes the upload over from a writer that may be alive still: whatever that one does from now on does not touch the bytes
   * at the place that this answers, the new `staged`. @throws UploadLost
   */
  adopt(upload: StagedUpload): Promise<string>;

  /** The upload's bytes, to hash them again. @throws UploadLost when there are fewer */
  readUpload(upload: StagedUpload): Promise<Readable>;

  /**
   * Makes the upload's bytes those of `key`, durably; they replace what is there. What an unfinished append left behind them
   * is cut off. Safe to repeat. Frees nothing: until the commit is recorded another writer may go on with the upload.
   * @throws UploadLost when fewer are staged
   */
  commit(upload: StagedUpload, key: BlobKey): Promise<void>;

  /**
   * Frees exactly the staged bytes that the upload names, except those that `kept`, the `staged` of the same upload at another
   * time, names too; done already is done. Only for whoever has taken them out of the session's row.
   */
  abort(upload: StagedUpload, kept?: string): Promise<void>;

  listUploads(): AsyncIterable<StagedFile>;

  /** Deletes a file that {@link listUploads} named; done already is done. */
  deleteStaged(name: string): Promise<void>;

  /**
   * Gives up what commits that died before `before`, in milliseconds since 1970, left half made where no listing shows it; only
   * of stores that have such. Says how many there were.
   */
  reap?(before: number, signal?: AbortSignal): Promise<number>;

  /**
   * A URL that allows a GET of exactly these bytes for some minutes; only of stores that can.
   *
   * @param now from when on, in milliseconds since 1970: by the registry's clock, as this machine's own may be wrong
   */
  redirectUrl?(key: BlobKey, now: number): Promise<string>;

  /**
   * Resolves when there is room for more bytes. Asked before anything is written for them: who tries again and again on a
   * full disk must not fill it further.
   * @throws an error with the code ENOSPC
   */
  ensureFreeSpace(): Promise<void>;

  /** The text that {@link writeMarker} wrote last; `undefined`: none. A failure to look is thrown. */
  readMarker(): Promise<string | undefined>;

  /** Replaces the marker, whole and durably: some words that say whose the store is (see `core/store-identity.ts`). */
  writeMarker(text: string): Promise<void>;

  /** Resolves when the store answers and, unless `write` is false, takes a write; one that does not last is enough. */
  ping(options?: { readonly write?: boolean }): Promise<void>;

  close(): Promise<void>;
}

/** The staged bytes of an upload are not what its session says. */
export class UploadLost extends Error {
  /** Bytes that are there; `undefined`: nothing is. */
  readonly found: number | undefined;

  constructor(upload: string, found?: number) {
    super(`the staged bytes of upload ${upload} are gone or short`);
    this.name = 'UploadLost';
    this.found = found;
  }
}
