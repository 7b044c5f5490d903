// A request makes a bounded number of queries, no matter how many rows it references, returns or skips.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countQueries } from '../../test/support/count-queries.ts';
import {
  digestsOf,
  insertBlobs,
  insertManifests,
  insertRepositories,
  insertTags,
} from '../../test/support/crowd.ts';
import { dialects, repositoryName } from '../../test/support/databases.ts';
import { asPattern, matches, type Pattern } from '../access/pattern.ts';
import { system } from '../db/changes.ts';
import { everyName } from '../db/repository-ranges.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex, ociImageManifest } from '../oci/media-types.ts';
import { fallbackTag, parseReference } from '../oci/reference.ts';
import { Manifests } from './manifests.ts';
import { listReferrerPage } from './referrers.ts';
import { listRepositoryPage } from './repositories.ts';
import { digestBytes } from './running-hash.ts';

const maxQueries = 50;
const [config, ...layers] = digestsOf('layer', 10_000);

function descriptorOf(digest: string | undefined) {
  return { mediaType: ociImageManifest, digest, size: 1 };
}

for (const { name, open } of dialects) {
  test(`${name}: no request makes more than ${maxQueries} queries`, async (t) => {
    const database = await open(t);
    const manifests = new Manifests({
      database,
      clock: database.clock,
      missingReferences: 'none',
      immutableTags: [],
    });
    const rights = { mayCreate: true, mayUpdate: true };
    const put = (reference: string, document: object) =>
      manifests.put(repositoryName, parseReference(reference), {
        contentType: undefined,
        bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, ...document })),
        tags: [],
        conditions: {},
        rights,
        by: system,
      });
    const bounded = async (what: string, action: () => Promise<unknown>) => {
      const queries = await countQueries(action);
      t.diagnostic(`${what}: ${queries} queries`);
      assert.ok(queries <= maxQueries, `${what}: ${queries} queries`);
    };

    await insertBlobs(database, repositoryName, [config as string, ...layers]);
    const image = {
      mediaType: ociImageManifest,
      config: descriptorOf(config),
      layers: layers.map(descriptorOf),
    };
    await bounded('a push with 10,000 blobs', () => put('image', image));

    const subject = digestBytes('sha256', Buffer.from('subject'));
    const children = digestsOf('child', 10_000);
    await insertManifests(database, { repository: repositoryName, digests: children });
    const index = { mediaType: ociImageIndex, manifests: children.map(descriptorOf) };
    await bounded('a push of 10,000 children', () => put(fallbackTag(subject), index));

    const first = { after: { rank: 0, digest: '' }, n: 1, artifactType: undefined };
    const list = (n: number | undefined) =>
      listReferrerPage(database, repositoryName, subject, { ...first, n });
    await bounded('one of 10,000 under the fallback tag', async () => {
      const { descriptors, next } = await list(1);
      assert.deepEqual([descriptors.length, next?.digest], [1, [...children].sort()[0]]);
    });
    await bounded('all of them', async () =>
      assert.equal((await list(undefined)).descriptors.length, 10_000),
    );

    const digest = digestBytes('sha256', Buffer.from(JSON.stringify({ schemaVersion: 2, ...index })));
    await insertTags(database, { repository: repositoryName, digest }, 10_000);
    await bounded('deleting it with 10,000 tags', () =>
      manifests.delete(repositoryName, parseReference(digest as Digest), system),
    );

    await insertRepositories(
      database,
      Array.from({ length: 20_000 }, (_, i) => `r/${i}`),
    );
    const pattern = asPattern('**/zzz') as Pattern;
    const visible = {
      ranges: [everyName],
      matches: (name: Parameters<typeof matches>[1]) => matches(pattern, name),
    };
    await bounded('a catalog of nothing among 20,000', () =>
      listRepositoryPage(database, { last: '', n: 100 }, visible),
    );
  });
}
