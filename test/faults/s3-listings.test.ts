// Buckets with incomplete listings: a listing gives garbage collection only candidates, so it deletes nothing that is referenced.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { collectGarbage } from '../../src/jobs/collect-garbage.ts';
import { findUnknownBlobs } from '../../src/jobs/find-unknown-blobs.ts';
import { openS3Store } from '../../src/storage/s3/s3.ts';
import { cleanUp } from '../support/cleanup.ts';
import { collectionParts } from '../support/garbage.ts';
import { send } from './client.ts';
import { digestOf } from './consistency.ts';
import { s3Registry } from './s3-registry.ts';

const day = 24 * 3_600_000;

const lies: [what: string, lie: (xml: string) => string][] = [
  ['the first key', (xml) => xml.replace(/<Contents>.*?<\/Contents>/s, '')],
  ['all keys', (xml) => xml.replaceAll(/<Contents>.*?<\/Contents>/gs, '')],
  [
    'the next page',
    (xml) => xml.replace(/<Contents>.*?<\/Contents>/s, '').replace(/<IsTruncated>.*?</, '<IsTruncated>true<'),
  ],
  ['when each object was written', (xml) => xml.replaceAll(/<LastModified>.*?<\/LastModified>/g, '')],
];

for (const [what, lie] of lies) {
  test(`a garbage collection of a bucket whose listings omit ${what} deletes nothing held`, async (t) => {
    const registry = await s3Registry(t);
    if (registry === undefined) return;
    const { url, data, proxy, settings } = registry;
    const held: string[] = [];
    for (let blob = 0; blob < 3; blob++) {
      const body = randomBytes(100);
      held.push(digestOf(body));
      const path = `/v2/a/blobs/uploads/?digest=${digestOf(body)}`;
      await send(url, { method: 'POST', url: path, body, ok: 201 });
    }
    const [config, ...layers] = held.map((digest) => ({ mediaType: 'a/b', digest, size: 100 }));
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const image = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
    const type = { 'content-type': mediaType };
    await send(url, { method: 'PUT', url: '/v2/a/manifests/v1', headers: type, body: image, ok: 201 });
    const { headers } = await send(url, { method: 'POST', url: '/v2/a/blobs/uploads/', ok: 202 });
    const session = headers.get('location') as string;
    const body = randomBytes(100);
    await send(url, { method: 'PATCH', url: session, body, ok: 202 });

    const database = await openSqlite(join(data, 'berth.db'));
    const store = await openS3Store({ ...settings, endpoint: proxy.endpoint });
    cleanUp(t, () => Promise.all([database.close(), store.close()]));
    proxy.listing = lie;
    const clock = () => Date.now() + 2 * day;
    const parts = { ...collectionParts(database, store), clock, grace: day, expireAfter: 3 * day };
    await findUnknownBlobs(parts).catch((error: Error) =>
      assert.match(error.message, /^S3 ListObjectsV2 failed/),
    );
    await collectGarbage(parts).catch((error: Error) =>
      assert.match(error.message, /^S3 ListObjectsV2 failed/),
    );
    proxy.listing = (xml) => xml;

    for (const digest of held) await send(url, { method: 'GET', url: `/v2/a/blobs/${digest}`, ok: 200 });
    await send(url, { method: 'PUT', url: `${session}?digest=${digestOf(body)}`, ok: 201 });
    await registry.check(`after listings without ${what}`);
  });
}
