import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository, repositoryName } from '../../test/support/databases.ts';
import type { Database } from '../db/database.ts';
import { insertManifest } from '../db/manifests.ts';
import { moveTag } from '../db/tags.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex, ociImageManifest } from '../oci/media-types.ts';
import { parseName } from '../oci/name.ts';
import { fallbackTag, parseTag } from '../oci/reference.ts';
import { listReferrerPage } from './referrers.ts';

const subject = digestNumber(999);

interface Put {
  digest: Digest;
  subject?: Digest;
  artifactType?: string;
  mediaType?: string;
  bytes?: Buffer;
}

function put(database: Database, repository: number, manifest: Put): Promise<number> {
  return database.transaction((db) =>
    insertManifest(
      db,
      {
        repository,
        digest: manifest.digest,
        mediaType: manifest.mediaType ?? ociImageManifest,
        bytes: manifest.bytes ?? Buffer.from('{}'),
        subject: manifest.subject ?? null,
        artifactType: manifest.artifactType ?? null,
        annotations: null,
      },
      1,
    ),
  );
}

/** What a client without the referrers API leaves behind: an index under the fallback tag. */
async function putFallback(database: Database, repository: number, listed: readonly number[]): Promise<void> {
  const manifests = listed.map((number) => ({
    mediaType: ociImageManifest,
    digest: digestNumber(number),
    size: 2,
  }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociImageIndex, manifests }));
  const id = await put(database, repository, { digest: digestNumber(500), mediaType: ociImageIndex, bytes });
  await database.transaction((db) => moveTag(db, repository, parseTag(fallbackTag(subject)), id, 1));
}

for (const { name, open } of dialects) {
  test(`${name}: an unknown repository, and a digest that nothing refers to, have no referrers`, async (t) => {
    const database = await open(t);
    const none = { items: [], more: false };
    const page = { last: '', n: 10 };
    assert.deepEqual(await listReferrerPage(database, parseName('unknown'), subject, page), none);
    await makeRepository(database);
    assert.deepEqual(await listReferrerPage(database, repositoryName, subject, page), none);
  });

  test(`${name}: those listed by a fallback tag count too, each once, and only those that are there`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    // 1, 3 and 5 name their subject; the old index lists 3 again, 2 and 6, and 4, which was never pushed.
    for (const number of [1, 3, 5])
      await put(database, repository, { digest: digestNumber(number), subject });
    for (const number of [2, 6]) await put(database, repository, { digest: digestNumber(number) });
    await putFallback(database, repository, [6, 4, 3, 2, 2]);
    const expected = [1, 2, 3, 5, 6].map(digestNumber);
    const all = await listReferrerPage(database, repositoryName, subject, { last: '', n: 10 });
    assert.deepEqual([all.items.map((item) => item.digest), all.more], [expected, false]);
    for (const n of [1, 2, 3, 5]) {
      const walked: string[] = [];
      for (let more = true; more; ) {
        const page = await listReferrerPage(database, repositoryName, subject, {
          last: walked.at(-1) ?? '',
          n,
        });
        walked.push(...page.items.map((item) => item.digest));
        more = page.more;
      }
      assert.deepEqual(walked, expected, `in pages of ${n}`);
    }
  });

  test(`${name}: the filter holds for both`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    await put(database, repository, { digest: digestNumber(1), subject, artifactType: 'a' });
    await put(database, repository, { digest: digestNumber(2), subject, artifactType: 'b' });
    await put(database, repository, { digest: digestNumber(3), artifactType: 'a' });
    await put(database, repository, { digest: digestNumber(4) });
    await putFallback(database, repository, [3, 4]);
    const page = await listReferrerPage(database, repositoryName, subject, {
      last: '',
      n: 10,
      artifactType: 'a',
    });
    assert.deepEqual(
      page.items.map((item) => item.digest),
      [digestNumber(1), digestNumber(3)],
    );
    const nothing = await listReferrerPage(database, repositoryName, subject, {
      last: '',
      n: 10,
      artifactType: 'a\0',
    });
    assert.deepEqual(nothing, { items: [], more: false });
    assert.deepEqual(page.items[0], {
      mediaType: ociImageManifest,
      digest: digestNumber(1),
      size: 2,
      artifactType: 'a',
    });
  });

  test(`${name}: a fallback tag on a manifest that lists nothing adds nothing`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    await put(database, repository, { digest: digestNumber(1), subject });
    const config = { mediaType: 'a/b', digest: digestNumber(7), size: 2 };
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [] }));
    const id = await put(database, repository, { digest: digestNumber(2), bytes });
    await database.transaction((db) => moveTag(db, repository, parseTag(fallbackTag(subject)), id, 1));
    const { items } = await listReferrerPage(database, repositoryName, subject, { last: '', n: 10 });
    assert.deepEqual(
      items.map((item) => item.digest),
      [digestNumber(1)],
    );
  });
}
