import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPostgres } from '../../src/db/postgres/postgres.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { openS3Store } from '../../src/storage/s3/s3.ts';
import { needs } from '../support/needs.ts';
import { openMigratedPostgres } from '../support/postgres.ts';
import { s3Settings } from '../support/s3.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { collectUnderLoad } from './garbage-under-load.ts';

/** `npm run test:soak` sets minutes. */
const milliseconds = Number(process.env.SOAK_MINUTES ?? 0.05) * 60_000;
const seed = Number(process.env.SOAK_SEED ?? randomInt(2 ** 31));

function during(): () => boolean {
  const end = performance.now() + milliseconds;
  return () => performance.now() < end;
}

test('SQLite and files: collecting garbage loses nothing that clients push at the same time', async (t) => {
  const data = await temporaryDirectory(t);
  await collectUnderLoad(t, seed, during(), async () => ({
    database: await openSqlite(join(data, 'berth.db')),
    store: await openFilesystemStore(data),
  }));
});

test('PostgreSQL and S3: collecting garbage loses nothing that clients push at the same time', async (t) => {
  if (!needs(t, 'postgres')) return;
  const settings = await s3Settings(t);
  if (settings === undefined) return;
  const url = await openMigratedPostgres(t);
  await collectUnderLoad(t, seed, during(), async () => ({
    database: await openPostgres({ url, poolSize: 5 }),
    store: await openS3Store(settings),
  }));
});
