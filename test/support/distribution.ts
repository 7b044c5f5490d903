// CNCF distribution (Debian's docker-registry 2.8), which writes the storage trees that `berth adopt` takes over.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import type { S3Settings } from '../../src/storage/s3/bucket.ts';
import { clientOf } from '../crash/http-client.ts';
import { startChild } from './child.ts';
import { freePort } from './free-port.ts';
import type { Client } from './inject.ts';
import { needs } from './needs.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface Distribution {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly client: Client;
  stop(): Promise<void>;
}

/** Starts it on a directory or a bucket; `undefined` if it is not installed, and the test is skipped. */
export async function startDistribution(
  t: TestContext,
  place: string | S3Settings,
): Promise<Distribution | undefined> {
  if (!needs(t, 'docker-registry')) return undefined;
  const port = await freePort();
  const file = join(await temporaryDirectory(t, 'distribution'), 'config.yml');
  const config = {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: {
      ...driverOf(place),
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: `127.0.0.1:${port}`, debug: { addr: '' } },
  };
  await writeFile(file, stringify(config));
  const url = `http://127.0.0.1:${port}`;
  const child = await startChild(t, {
    command: 'docker-registry',
    args: ['serve', file],
    env: { PATH: process.env.PATH },
    ready: /listening on/,
  });
  return {
    url,
    client: clientOf(url),
    stop: async () => void (await child.stop('SIGKILL')),
  };
}

function driverOf(place: string | S3Settings): object {
  if (typeof place === 'string') return { filesystem: { rootdirectory: place } };
  const { bucket, region, endpoint, accessKeyId, secretAccessKey, prefix } = place;
  return {
    s3: {
      bucket,
      region,
      regionendpoint: endpoint,
      accesskey: accessKeyId,
      secretkey: secretAccessKey,
      secure: false,
      v4auth: true,
      rootdirectory: prefix.replace(/\/$/, ''),
    },
  };
}
