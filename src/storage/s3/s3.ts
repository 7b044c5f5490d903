import { text } from 'node:stream/consumers';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { type BlobKey, type BlobStore, markerKey, probeKey } from '../blob-store.ts';
import { ForeignRegistry } from '../foreign-registry.ts';
import { S3Bucket, type S3Settings, s3Limits } from './bucket.ts';
import { abortMultiparts, hasObjects, listObjects } from './list.ts';
import { openObject } from './read.ts';
import { S3Uploads } from './uploads.ts';

const pingTimeout = 3000;
/** Milliseconds for which a successful test write is trusted: each write costs money. */
const writeKnownFor = 30_000;

/**
 * Blobs as objects of a bucket, under CNCF distribution's keys; uploads as chains of objects below `uploads/`. The service creates an
 * object completely or not at all, and the object is durable once the service acknowledges it.
 *
 * @param inspectOnly writes nothing, and also opens another registry's bucket
 * @throws StoreUnusable | ForeignRegistry
 */
export async function openS3Store(
  settings: S3Settings,
  { inspectOnly = false, limits = s3Limits } = {},
): Promise<BlobStore> {
  const bucket = new S3Bucket(settings, limits);
  const uploads = new S3Uploads(bucket);
  const blobsFolder = `${bucket.prefix}docker/registry/v2/blobs/`;
  const keyOf = (key: BlobKey): string => bucket.prefix + key;
  let writtenAt = Number.NEGATIVE_INFINITY;
  try {
    await bucket.checkAtStart(settings);
    // Blobs of another registry have no rows in this database, so garbage collection would park them and later delete them. `berth
    // adopt` writes the marker after it has recorded them.
    const isForeign = async (): Promise<boolean> =>
      (await hasObjects(bucket, `${bucket.prefix}docker/registry/v2/repositories/`)) &&
      !(await hasObjects(bucket, bucket.prefix + markerKey));
    if (!inspectOnly && (await isForeign())) {
      const place = `bucket ${bucket.name}${bucket.prefix === '' ? '' : `, below ${bucket.prefix},`}`;
      throw new ForeignRegistry(place, 'another bucket or prefix (storage.s3.bucket, storage.s3.prefix)');
    }
  } catch (error) {
    bucket.close();
    throw error;
  }

  return {
    commitMoves: false,

    read: (key, range) => openObject(bucket, keyOf(key), range),

    async stat(key) {
      const found = await bucket.find(new HeadObjectCommand({ Bucket: bucket.name, Key: keyOf(key) }));
      if (found?.ContentLength !== undefined) return { size: found.ContentLength };
      // A HEAD response has no body, which would tell whether the object or the bucket is missing.
      await bucket.check();
      return undefined;
    },

    async delete(key) {
      await bucket.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: keyOf(key) }));
    },

    async *list() {
      for await (const { key, modifiedAt } of listObjects(bucket, blobsFolder)) {
        yield { name: key.slice(bucket.prefix.length) as BlobKey, modifiedAt };
      }
    },

    append: (upload, body, options) => uploads.append(upload, body, options),
    adopt: (upload) => uploads.adopt(upload),
    readUpload: (upload) => uploads.read(upload),
    commit: (upload, key) => uploads.commit(upload, key),
    abort: (upload, kept) => uploads.abort(upload, kept),
    listUploads: () => uploads.list(),
    deleteStaged: (name) => uploads.delete(name),

    async redirectUrl(key, now) {
      const command = new GetObjectCommand({
        Bucket: bucket.name,
        Key: keyOf(key),
        // Blobs are untrusted content: a browser must download them, never show them as a page.
        ResponseContentType: 'application/octet-stream',
        ResponseContentDisposition: 'attachment',
      });
      const expiresIn = Math.floor(settings.redirectExpiry / 1000);
      const url = await getSignedUrl(bucket.signer, command, { expiresIn, signingDate: new Date(now) });
      if (settings.cdnUrl === undefined) return url;
      const { pathname, search } = new URL(url);
      return settings.cdnUrl + pathname + search;
    },

    async deleteInterruptedCommits(before, signal) {
      let aborted = 0;
      for (const folder of [blobsFolder, `${bucket.prefix}uploads/`]) {
        aborted += await abortMultiparts(bucket, folder, before, signal);
      }
      return aborted;
    },

    // S3 does not report the free space of a bucket.
    async ensureFreeSpace() {},

    async readMarker() {
      const opened = await openObject(bucket, bucket.prefix + markerKey);
      return opened && text(opened.stream);
    },

    writeMarker: (text) => putSmall(bucket, markerKey, text),

    async ping({ write = true } = {}) {
      const signal = AbortSignal.timeout(pingTimeout);
      await bucket.checkUsable(signal);
      const now = performance.now();
      if (!write || now - writtenAt < writeKnownFor) return;
      await putSmall(bucket, probeKey, '.', signal);
      writtenAt = now;
    },

    async close() {
      bucket.close();
    },
  };
}

async function putSmall(bucket: S3Bucket, name: string, text: string, signal?: AbortSignal): Promise<void> {
  const place = { Bucket: bucket.name, Key: bucket.prefix + name };
  await bucket.send(new PutObjectCommand({ ...place, Body: Buffer.from(text), ...bucket.objectSettings }), {
    signal,
  });
}
