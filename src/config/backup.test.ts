import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { parseBackupPlace } from './backup.ts';
import { configSchema } from './schema.ts';

test('a place for backups is a directory or a prefix of a bucket', () => {
  const directory = (path: string) => ({ type: 'directory', path: resolve(path) });
  const bucket = (bucket: string, prefix: string) => ({ type: 'bucket', bucket, prefix });
  for (const [text, place] of [
    ['/var/backups', directory('/var/backups')],
    ['backups', directory('backups')],
    ['s3:backups', directory('s3:backups')],
    ['s3://backups', bucket('backups', '')],
    ['s3://backups/', bucket('backups', '')],
    ['s3://backups/berth/nightly', bucket('backups', 'berth/nightly/')],
    ['s3://backups/berth/', bucket('backups', 'berth/')],
    ['', undefined],
    ['s3://', undefined],
    ['s3://b/x', undefined],
    ['s3://backups/../x', undefined],
    ['s3://backups//x', undefined],
    ['https://backups/x', undefined],
  ] as const) {
    assert.deepEqual(parseBackupPlace(text), place, text);
  }
});

test('backups are made daily and seven remain, once they have a place', () => {
  const { backup } = configSchema.parse({ backup: { to: 's3://backups/berth' } });
  const to = { type: 'bucket', bucket: 'backups', prefix: 'berth/' };
  assert.deepEqual(backup, { to, every: 24 * 3_600_000, keep: 7, blobs: false });
  assert.equal(configSchema.parse({}).backup.to, undefined);
  assert.throws(() => configSchema.parse({ backup: { to: 'ftp://x' } }));
});
