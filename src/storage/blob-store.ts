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

const keyPattern =
  /^docker\/registry\/v2\/blobs\/(sha256|sha512)\/[0-9a-f]{2}\/([0-9a-f]{64,128})\/data(?:\.(\d{1,9}))?$/;

/** What a key stands for, or `undefined` for a file that is no blob of Berth's. */
export function parseBlobKey(key: string): { digest: Digest; generation: number } | undefined {
  const [, algorithm, hex, generation] = keyPattern.exec(key) ?? [];
  const digest = asDigest(`${algorithm}:${hex}`);
  return digest && { digest, generation: Number(generation ?? 0) };
}

/** An open file and how many bytes it has. Whoever got it closes it. */
export interface BlobFile {
  readonly fd: number;
  readonly size: number;
  close(): void;
}

/** Something found by listing. */
export interface StoredFile<Name extends string> {
  readonly name: Name;
  /** Milliseconds since 1970 of the last write. */
  readonly modifiedAt: number;
}

export interface AppendOptions {
  /** Sees every chunk, once, in order, before it is written. */
  readonly tap: (chunk: Buffer) => void;
  /** Ends the append as a broken connection would, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface AppendResult {
  /** Bytes of the upload that the store holds now; all of them went through `tap` or were there before. */
  readonly size: number;
  /** Why the body ended early, if it did: the client hung up, or was too slow. */
  readonly interrupted?: Error;
}

/**
 * Holds bytes and knows nothing of repositories, tags or requests. Uploads are staged under their id until they are
 * committed to a key. Any failure of the storage below is thrown as it came.
 */
export interface BlobStore {
  /** Opens committed bytes. Absent bytes are `undefined`; a failure to look is thrown. */
  read(key: BlobKey): Promise<BlobFile | undefined>;

  stat(key: BlobKey): Promise<{ size: number } | undefined>;

  /** Deletes committed bytes; done already is done. Only for whoever has fenced the deletion (see `jobs/sweep.ts`). */
  delete(key: BlobKey): Promise<void>;

  /** Every key that holds bytes, in no order. Never a reason to believe that something is not there. */
  list(): AsyncIterable<StoredFile<BlobKey>>;

  /**
   * Appends `body` at `offset`, cutting off what an earlier, unfinished append may have left behind it. Resolves when the
   * body has ended, in one way or another, and its bytes are written (not yet synced). A body without bytes changes nothing.
   * @throws UploadLost when fewer than `offset` bytes are staged and there is one to append
   */
  append(upload: string, offset: number, body: Readable, options: AppendOptions): Promise<AppendResult>;

  /** The first `size` staged bytes, to hash them again. @throws UploadLost when there are fewer */
  readUpload(upload: string, size: number): Promise<Readable>;

  /**
   * Makes the first `size` staged bytes those of `key`, durably; they replace what is there. What an unfinished append left
   * behind them is cut off. Safe to repeat.
   * @throws UploadLost when fewer than `size` bytes are staged
   */
  commit(upload: string, key: BlobKey, size: number): Promise<void>;

  /** Forgets the staged bytes; done already is done. */
  abort(upload: string): Promise<void>;

  listUploads(): AsyncIterable<StoredFile<string>>;

  /**
   * Resolves when there is room for more bytes. Asked before anything is written for them: who tries again and again on a
   * full disk must not fill it further.
   * @throws an error with the code ENOSPC
   */
  checkRoom(): Promise<void>;

  /** Resolves when the store can be written to. */
  ping(): Promise<void>;
}

/** The staged bytes of an upload are not what its session says. */
export class UploadLost extends Error {
  constructor(upload: string) {
    super(`the staged bytes of upload ${upload} are gone or short`);
    this.name = 'UploadLost';
  }
}
