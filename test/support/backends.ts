import type { TestContext } from 'node:test';
import type { AppParts } from '../../src/app.ts';
import type { S3Settings } from '../../src/storage/s3/bucket.ts';
import { type BackendName, backendNames, backendVariable } from './backend-names.ts';
import { openMigratedPostgres } from './postgres.ts';
import type { ConfigInput } from './registry.ts';
import { s3Settings } from './s3.ts';

/** Database and store of a test's registry. */
export interface Backend {
  readonly settings: ConfigInput;
  readonly parts: AppParts;
}

const open: Record<BackendName, (t: TestContext) => Promise<Backend>> = {
  'SQLite and files': async () => ({ settings: {}, parts: {} }),
  'PostgreSQL and S3': async (t) => {
    const { bucket, endpoint, accessKeyId, secretAccessKey } = (await s3Settings(t)) as S3Settings;
    // These tests check the bytes themselves; redirects have their own tests.
    const s3 = { bucket, endpoint, accessKeyId, secretAccessKey, redirect: false };
    const settings = { database: { url: await openMigratedPostgres(t) }, storage: { type: 's3', s3 } };
    return { settings, parts: {} };
  },
};

/** Opens a backend, by default this run's, empty, for one registry. */
export function openBackend(
  t: TestContext,
  name = (process.env[backendVariable] ?? backendNames[0]) as BackendName,
): Promise<Backend> {
  return open[name](t);
}
