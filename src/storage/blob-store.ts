import type { Readable } from 'node:stream';
import { asDigest, type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';

/** Path of a blob's bytes in the store; made only by {@link blobKey}. */
export type BlobKey = string & { readonly __brand: 'BlobKey' };

/**
 * CNCF distribution's layout, so that its directories and buckets can be used unchanged. Generation 0 is stored in `data`.
 * Once a deletion is decided, new bytes go to the key of the next generation, which that deletion never touches, however late
 * or often it runs.
 */
export function blobKey(digest: Digest, generation: number): BlobKey {
  const hex = digestHex(digest);
  const folder = `docker/registry/v2/blobs/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}`;
  return `${folder}/data${generation === 0 ? '' : `.${generation}`}` as BlobKey;
}

/** Key of the store's marker: at the top level, away from blobs and uploads. */
export const markerKey = 'berth-store.json';
/** Key that {@link BlobStore.ping} overwrites. */
export const probeKey = 'berth-probe';

const keyPattern =
  /^docker\/registry\/v2\/blobs\/(sha256|sha512)\/[0-9a-f]{2}\/([0-9a-f]{64,128})\/data(?:\.(\d{1,9}))?$/;

/** Digest and generation of a key; `undefined` for a file that is not a blob of Berth. */
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

/** A stream of exactly the requested range. */
export interface BlobStream {
  readonly stream: Readable;
  /** Bytes of the whole blob. */
  readonly size: number;
  close(): void;
}

/** Committed bytes, opened. The caller closes them. */
export type OpenBlob = BlobFile | BlobStream;

/** An entry of a listing. */
export interface StoredFile<Name extends string> {
  readonly name: Name;
  /** Milliseconds since 1970 of the last write. */
  readonly modifiedAt: number;
}

/** Staged bytes of a current or former upload. */
export interface StagedFile extends StoredFile<string> {
  /** Upload id. */
  readonly upload: string;
}

/** An upload, as recorded in its session's row. */
export interface StagedUpload {
  readonly id: string;
  /** Number of recorded bytes. More may be staged after them, by an append that was not recorded. */
  readonly size: number;
  /** Opaque location: the last result of {@link BlobStore.append} or {@link BlobStore.adopt}; initially empty. */
  readonly staged: string;
}

export interface AppendOptions {
  /** Receives every chunk once, in order, before it is written. */
  readonly tap: (chunk: Buffer) => void;
  /** Ends the append as a broken connection would, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface AppendResult extends Pick<StagedUpload, 'size' | 'staged'> {
  /** The reason if the body ended early: the client disconnected, or was too slow. */
  readonly interrupted?: Error;
}

/**
 * Stores bytes, independent of repositories, tags and requests. Uploads are staged until they are committed to a key.
 * Errors of the underlying storage are thrown unchanged.
 */
export interface BlobStore {
  /**
   * true: a commit moves the staged bytes; until then a power cut may lose them, afterwards they are no longer staged.
   * false: a commit copies them; staged bytes are as durable as committed ones and stay until {@link abort}.
   */
  readonly commitMoves: boolean;

  /** Opens committed bytes, all or a range of them. `undefined` if they do not exist; throws if the lookup fails. */
  read(key: BlobKey, range?: ByteRange): Promise<OpenBlob | undefined>;

  stat(key: BlobKey): Promise<{ size: number } | undefined>;

  /** Deletes committed bytes; idempotent. The caller must have fenced the deletion (see `jobs/collect-garbage.ts`). */
  delete(key: BlobKey): Promise<void>;

  /** Lists the keys of all committed bytes, unordered. A key that is missing from the listing may still exist. */
  list(): AsyncIterable<StoredFile<BlobKey>>;

  /**
   * Appends `body` after the upload's first `size` bytes. Discards bytes that an unrecorded append has staged there. Resolves when
   * the body has ended or broken off and its bytes are written; they are synced unless `commitMoves`. The caller must record them in
   * the session's row. An empty body changes nothing.
   * @throws UploadLost if fewer bytes than the upload's size are staged and the body is not empty
   */
  append(upload: StagedUpload, body: Readable, options: AppendOptions): Promise<AppendResult>;

  /**
   * Takes the upload over from a writer that may still be running. Returns the new `staged`, a location whose bytes that writer
   * cannot change. @throws UploadLost
   */
  adopt(upload: StagedUpload): Promise<string>;

  /** The upload's bytes, for hashing them again. @throws UploadLost when fewer are staged */
  readUpload(upload: StagedUpload): Promise<Readable>;

  /**
   * Stores exactly the upload's recorded bytes durably under `key`, replacing existing ones. Idempotent. Does not delete what is
   * still staged: until the commit is recorded, another writer may continue the upload.
   * @throws UploadLost when fewer are staged
   */
  commit(upload: StagedUpload, key: BlobKey): Promise<void>;

  /**
   * Deletes the bytes at the upload's location `staged`. Keeps those that also belong to `kept`, another location of the same upload.
   * Idempotent. The caller must have removed the location from the session's row.
   */
  abort(upload: StagedUpload, kept?: string): Promise<void>;

  listUploads(): AsyncIterable<StagedFile>;

  /** Deletes a file that {@link listUploads} has listed; idempotent. */
  deleteStaged(name: string): Promise<void>;

  /**
   * Deletes what interrupted commits have left (multipart uploads) if they began before `before`, in milliseconds since 1970. Returns
   * their number. Implemented only by stores in which a commit can leave such remains.
   */
  deleteInterruptedCommits?(before: number, signal?: AbortSignal): Promise<number>;

  /**
   * A URL that allows a GET of exactly these bytes for some minutes. Implemented only by stores that support such URLs.
   *
   * @param now start of validity, in milliseconds since 1970, by the registry's clock: this machine's own may be wrong
   */
  redirectUrl?(key: BlobKey, now: number): Promise<string>;

  /**
   * Checks that there is free space for more bytes. Called before each write, so that retries do not fill a full disk further.
   * @throws an error with the code ENOSPC
   */
  ensureFreeSpace(): Promise<void>;

  /** The text that {@link writeMarker} wrote last; `undefined` if none. Throws if the lookup fails. */
  readMarker(): Promise<string | undefined>;

  /** Replaces the marker atomically and durably. It identifies the registry that owns the store (see `core/store-identity.ts`). */
  writeMarker(text: string): Promise<void>;

  /** Resolves when the store answers and, unless `write` is false, accepts a write, which need not be durable. */
  ping(options?: { readonly write?: boolean }): Promise<void>;

  close(): Promise<void>;
}

/** Fewer bytes are staged than the upload's session records. */
export class UploadLost extends Error {
  /** Bytes found; `undefined`: none. */
  readonly found: number | undefined;

  constructor(upload: string, found?: number) {
    super(`the staged bytes of upload ${upload} are missing or incomplete`);
    this.name = 'UploadLost';
    this.found = found;
  }
}
