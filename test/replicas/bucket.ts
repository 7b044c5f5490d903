import { randomInt } from 'node:crypto';
import type { TestContext } from 'node:test';
import { s3Settings } from '../support/s3.ts';
import { Wire } from './wire.ts';

/** A bucket of a real S3 server behind a wire, and the environment with which `berth` uses it. */
export async function startBucket(t: TestContext): Promise<{ wire: Wire; env: NodeJS.ProcessEnv }> {
  const settings = await s3Settings(t);
  if (settings === undefined) throw new Error('no S3 server is installed');
  const target = new URL(settings.endpoint as string).host;
  const wire = await Wire.start(t, { target, cutAfter: () => randomInt(2 << 20) });
  const env = {
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: settings.bucket,
    BERTH_STORAGE_S3_ENDPOINT: `http://${wire.host}`,
    BERTH_STORAGE_S3_REGION: settings.region,
    BERTH_STORAGE_S3_PATH_STYLE: 'true',
    BERTH_STORAGE_S3_ACCESS_KEY_ID: settings.accessKeyId,
    BERTH_STORAGE_S3_SECRET_ACCESS_KEY: settings.secretAccessKey,
  };
  return { wire, env };
}
