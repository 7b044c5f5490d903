import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { StoreUnavailable } from '../store-errors.ts';
import type { S3Bucket } from './bucket.ts';
import { isNamed } from './errors.ts';

/** An entry of a listing. */
export interface ListedObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970 of the last write; the current time if the service gives none. */
  readonly modifiedAt: number;
}

/** All objects whose keys begin with `prefix`. @throws StoreUnavailable when the listing is incomplete */
export async function* listObjects(bucket: S3Bucket, prefix: string): AsyncIterable<ListedObject> {
  let token: string | undefined;
  do {
    const page = await bucket.send(
      new ListObjectsV2Command({ Bucket: bucket.name, Prefix: prefix, ContinuationToken: token }),
    );
    for (const { Key, Size = 0, LastModified } of page.Contents ?? []) {
      // Some services and tools create folders as objects whose keys end with a slash.
      if (Key === undefined || Key.endsWith('/')) continue;
      yield { key: Key, size: Size, modifiedAt: LastModified?.getTime() ?? Date.now() };
    }
    token = page.IsTruncated ? nextOf('ListObjectsV2', token, page.NextContinuationToken) : undefined;
  } while (token !== undefined);
}

/** Whether any object has a key that begins with `prefix`. */
export async function hasObjects(bucket: S3Bucket, prefix: string): Promise<boolean> {
  const page = await bucket.send(
    new ListObjectsV2Command({ Bucket: bucket.name, Prefix: prefix, MaxKeys: 1 }),
  );
  return (page.Contents ?? []).length > 0;
}

/**
 * Aborts the multipart uploads below `prefix` that began before `before` (milliseconds since 1970): a crash has left them. Their
 * parts cost as much as objects, and no listing of objects shows them. Returns their number.
 */
export async function abortMultiparts(
  bucket: S3Bucket,
  prefix: string,
  before: number,
  signal?: AbortSignal,
): Promise<number> {
  let aborted = 0;
  let marker: { key: string; upload: string | undefined } | undefined;
  do {
    const page = await bucket.send(
      new ListMultipartUploadsCommand({
        Bucket: bucket.name,
        Prefix: prefix,
        ...(marker && { KeyMarker: marker.key, UploadIdMarker: marker.upload }),
      }),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      signal?.throwIfAborted();
      if (Key === undefined || !(Initiated && Initiated.getTime() < before)) continue;
      await bucket
        .send(new AbortMultipartUploadCommand({ Bucket: bucket.name, Key, UploadId }), {}, isGone)
        .catch((error) => {
          if (!isGone(error)) throw error;
        });
      aborted += 1;
    }
    const [last, next] = [marker && `${marker.key} ${marker.upload}`, page.NextKeyMarker];
    marker = page.IsTruncated ? { key: next ?? '', upload: page.NextUploadIdMarker } : undefined;
    if (marker) nextOf('ListMultipartUploads', last, next && `${marker.key} ${marker.upload}`);
  } while (marker !== undefined);
  return aborted;
}

const isGone = (error: unknown): boolean => isNamed(error, 'NoSuchUpload');

/** The token of the next page. @throws StoreUnavailable if it is missing or repeated: the listing would be incomplete */
function nextOf(call: string, last: string | undefined, next: string | undefined): string {
  if (!next) throw new StoreUnavailable(`S3 ${call} failed: a truncated page has no next token`);
  if (next === last) throw new StoreUnavailable(`S3 ${call} failed: a page repeats its own token`);
  return next;
}
