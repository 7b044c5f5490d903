// The section `backup`, and the places of backups.
import { resolve } from 'node:path';
import { z } from 'zod';
import { bucket, count, duration, keyPrefix, toggle } from './values.ts';

/** A place for backups: a directory, or a prefix (empty, or ending with a slash) of a bucket. */
export type BackupPlace =
  | { readonly type: 'directory'; readonly path: string }
  | { readonly type: 'bucket'; readonly bucket: string; readonly prefix: string };

export const backupPlaceAllowed =
  'a directory, absolute or from the working directory, or s3://BUCKET/PREFIX';

/** Parses a directory or `s3://BUCKET/PREFIX`; `undefined` if it is neither. */
export function parseBackupPlace(text: string): BackupPlace | undefined {
  if (text === '' || text.includes('\0')) return undefined;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme === undefined) return { type: 'directory', path: resolve(text) };
  if (scheme !== 's3') return undefined;
  const [, name, rest] = /^s3:\/\/([^/]*)\/?(.*)$/.exec(text) as RegExpExecArray;
  const parsed = { bucket: bucket().safeParse(name), prefix: keyPrefix().safeParse(rest) };
  if (!parsed.bucket.success || !parsed.prefix.success) return undefined;
  return { type: 'bucket', bucket: parsed.bucket.data, prefix: parsed.prefix.data };
}

function backupPlace() {
  return z
    .codec(z.string(), z.custom<BackupPlace>(), {
      decode(value, context) {
        const place = parseBackupPlace(value);
        if (place !== undefined) return place;
        context.issues.push({ code: 'custom', input: value, message: 'not allowed' });
        return z.NEVER;
      },
      encode: (place) => (place.type === 'directory' ? place.path : `s3://${place.bucket}/${place.prefix}`),
    })
    .meta({ allowed: backupPlaceAllowed });
}

export const backup = z
  .strictObject({
    to: backupPlace().exactOptional().meta({
      description:
        'The place for the backups that Berth makes by itself; for a bucket, endpoint and credentials are those of storage.s3, or with storage.type filesystem those that the AWS SDK finds.',
      absent: 'none; Berth makes no backups by itself',
    }),
    every: duration({ min: '1m', max: '365d' })
      .prefault('24h')
      .meta({ description: 'How long after the end of one backup the next one begins.' }),
    keep: count({ min: 1, max: 10_000 })
      .prefault(7)
      .meta({ description: 'How many backups of this registry remain; older ones are deleted.' }),
    blobs: toggle().prefault(false).meta({
      description: 'Whether blobs are copied too, each once for all backups in the same place.',
    }),
  })
  .readonly()
  .prefault({})
  .meta({ description: 'Backups that Berth makes while it runs.' });
