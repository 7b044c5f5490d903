import { buffer } from 'node:stream/consumers';
import { FileTooLarge, type StoreTree } from '../store-tree.ts';
import { S3Bucket, type S3Settings, s3Limits } from './bucket.ts';
import { listObjects } from './list.ts';
import { openObject } from './read.ts';

/** The objects of a bucket below its prefix, which it never changes. A listing takes one call for 1000 objects. */
export function s3Tree(settings: S3Settings, limits = s3Limits): StoreTree {
  const bucket = new S3Bucket(settings, limits);
  const { prefix } = bucket;
  return {
    async *list(folder) {
      for await (const { key, size, modifiedAt } of listObjects(bucket, prefix + folder)) {
        yield { key: key.slice(prefix.length), size, modifiedAt };
      }
    },
    async *count(folder) {
      for await (const _ of listObjects(bucket, prefix + folder)) yield 1;
    },
    async read(key, limit) {
      const opened = await openObject(bucket, prefix + key);
      if (opened === undefined) return undefined;
      try {
        if (opened.size > limit) throw new FileTooLarge(key, opened.size, limit);
        return await buffer(opened.stream);
      } finally {
        opened.close();
      }
    },
    async close() {
      bucket.close();
    },
  };
}
