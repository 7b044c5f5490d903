import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Finding } from '../../src/core/fsck/walk.ts';
import { fsck } from '../../src/core/fsck.ts';
import { inspectSqlite } from '../../src/db/sqlite/inspect.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import type { S3Settings } from '../../src/storage/s3/bucket.ts';
import { openS3Store } from '../../src/storage/s3/s3.ts';
import { cleanUp } from '../support/cleanup.ts';
import { testRegistry } from '../support/registry.ts';
import { s3Settings } from '../support/s3.ts';
import { type S3Proxy, startS3Proxy } from '../support/s3-proxy.ts';

export interface S3Registry {
  readonly url: string;
  readonly data: string;
  readonly proxy: S3Proxy;
  readonly settings: S3Settings;
  /** The bucket, without the proxy. */
  readonly direct: BlobStore;
  /** Asserts that fsck finds no error in the rows and in every byte. */
  check(what: string): Promise<void>;
}

/** No retries, so that failures show; timeouts are short, though long for loopback. */
const limits = { connectionTimeout: 2000, idleTimeout: 1000, maxAttempts: 1 };

/** A complete registry over a bucket behind a proxy that injects faults; `undefined` if the test is skipped. */
export async function s3Registry(t: TestContext): Promise<S3Registry | undefined> {
  const settings = await s3Settings(t);
  if (settings === undefined) return undefined;
  const proxy = await startS3Proxy(t, settings.endpoint as string);
  const direct = await openS3Store(settings);
  cleanUp(t, () => direct.close());
  const store = await openS3Store({ ...settings, endpoint: proxy.endpoint }, { limits });
  const { app, data } = await testRegistry(t, {}, async () => ({ store }));
  const { url } = await app.listen();
  return {
    url,
    data,
    proxy,
    settings,
    direct,
    async check(what) {
      const database = await inspectSqlite(join(data, 'berth.db'));
      const findings: Finding[] = [];
      try {
        await fsck(
          {
            database,
            store: direct,
            clock: Date.now,
            readData: true,
            places: { database: 'the database', store: 'the bucket' },
            missingReferences: 'children',
          },
          (finding) => findings.push(finding),
        );
      } finally {
        await database.close();
      }
      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'error'),
        [],
        what,
      );
    },
  };
}
