import { buffer } from 'node:stream/consumers';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { type BackupEntry, type BackupStore, contentsFile, timeOfBackup } from '../backup-store.ts';
import { S3Bucket, type S3Settings } from './bucket.ts';
import { listObjects } from './list.ts';
import { openObject } from './read.ts';
import { openS3Store } from './s3.ts';

/**
 * Backups as objects below the prefix of a bucket. A backup without its {@link contentsFile} is unfinished.
 *
 * @throws StoreUnusable
 */
export async function openS3Backups(settings: S3Settings): Promise<BackupStore> {
  const bucket = new S3Bucket(settings);
  const keyOf = (name: string, file: string): string => `${bucket.prefix}${name}/${file}`;
  try {
    await bucket.checkAtStart(settings);
  } catch (error) {
    bucket.close();
    throw error;
  }

  const put = async (name: string, file: string, bytes: Uint8Array): Promise<void> => {
    const Key = keyOf(name, file);
    await bucket.send(
      new PutObjectCommand({ Bucket: bucket.name, Key, Body: bytes, ...bucket.objectSettings }),
    );
  };
  const read = async (name: string, file: string): Promise<Uint8Array | undefined> => {
    const opened = await openObject(bucket, keyOf(name, file));
    return opened && buffer(opened.stream);
  };
  const deleteKey = async (key: string): Promise<void> => {
    await bucket.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: key }));
  };
  const deleteBackup = async (name: string): Promise<void> => {
    // First, so that a half-deleted backup is not taken for a complete one.
    await deleteKey(keyOf(name, contentsFile));
    for await (const { key } of listObjects(bucket, keyOf(name, ''))) await deleteKey(key);
  };

  return {
    place: `s3://${bucket.name}/${bucket.prefix}`.replace(/\/$/, ''),

    async list() {
      const complete = new Map<string, boolean>();
      for await (const { key } of listObjects(bucket, `${bucket.prefix}berth-backup-`)) {
        const [name, file] = key.slice(bucket.prefix.length).split('/') as [string, string?];
        if (file === undefined || timeOfBackup(name) === undefined) continue;
        complete.set(name, (complete.get(name) ?? false) || file === contentsFile);
      }
      const entries: BackupEntry[] = [...complete].map(([name, isComplete]) => ({ name, isComplete }));
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    async begin(name) {
      return {
        write: (file, bytes) => put(name, file, bytes),
        read: (file) => read(name, file),
        complete: (contents) => put(name, contentsFile, contents),
        discard: () => deleteBackup(name),
      };
    },

    read,
    delete: deleteBackup,
    openBlobs: (options) => openS3Store({ ...settings, prefix: `${bucket.prefix}blobs/` }, options),
    close: () => bucket.close(),
  };
}
