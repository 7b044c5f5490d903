// A request that was authorized for a repository is not answered from a later repository of the same name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository, repositoryName } from '../../test/support/databases.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { linkBlob } from '../db/blob-links.ts';
import { recordStored } from '../db/blobs.ts';
import { system } from '../db/changes.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';
import { AnotherRepository } from './another-repository.ts';
import { Blobs } from './blobs.ts';
import { Manifests } from './manifests.ts';
import { listReferrerPage } from './referrers.ts';
import { listTagPage } from './tags.ts';

const clock = () => 1;
const page = { n: 10, last: '' };
const held = digestNumber(1);
const missing = digestNumber(2);
const absent = parseName('library/absent');

for (const { name, open } of dialects) {
  test(`${name}: a read authorized for a deleted repository is refused in a new one of its name, whatever it holds`, async (t) => {
    const database = await open(t);
    const id = await makeRepository(database);
    const manifest = makeManifest('one');
    const manifests = new Manifests({ database, clock, missingReferences: 'all', immutableTags: [] });
    const blobs = new Blobs({ database, store: openMemoryStore(), clock });
    const rights = { mayCreate: true, mayUpdate: true };
    await manifests.put(repositoryName, parseReference('v1'), {
      ...manifest,
      tags: [],
      conditions: {},
      rights,
      by: system,
    });
    await database.transaction(async (db) => {
      await recordStored(db, { digest: held, size: 1, generation: 0 }, 1);
      await linkBlob(db, id, held, 1);
    });

    type Read = (of: typeof repositoryName, meant?: number) => Promise<unknown>;
    const finds: Record<string, Read> = {
      'a manifest by its tag': (of, meant) => manifests.get(of, parseReference('v1'), meant),
      'a manifest by its digest': (of, meant) => manifests.get(of, parseReference(manifest.digest), meant),
      'a blob': (of, meant) => blobs.find(of, held, meant),
      tags: (of, meant) => listTagPage(database, of, page, meant),
    };
    const misses: Record<string, Read> = {
      'a tag that is not there': (of, meant) => manifests.get(of, parseReference('v2'), meant),
      'a blob that is not there': (of, meant) => blobs.find(of, missing, meant),
    };
    const first = { after: { rank: 0, digest: '' }, n: undefined, artifactType: undefined };
    const referrers: Read = (of, meant) => listReferrerPage(database, of, held, first, meant);
    for (const [what, read] of Object.entries({ ...finds, ...misses, referrers })) {
      await assert.rejects(read(repositoryName, id + 1), AnotherRepository, what);
    }
    for (const read of [...Object.values(finds), referrers]) {
      for (const meant of [id, undefined]) await read(repositoryName, meant);
    }
    for (const [what, read] of Object.entries(misses)) {
      for (const meant of [id, undefined]) {
        await assert.rejects(read(repositoryName, meant), { code: /_UNKNOWN$/ }, what);
      }
    }
    // Deleted content is unknown; no other repository is involved.
    for (const [what, read] of Object.entries({ ...finds, ...misses })) {
      await assert.rejects(read(absent, id), { code: /_UNKNOWN$/ }, what);
    }
    assert.deepEqual(await referrers(absent, id), { descriptors: [], next: undefined });
  });
}

test('AnotherRepository is UNAUTHORIZED with a reason', () => {
  const { code, detail } = new AnotherRepository();
  assert.deepEqual(
    [code, detail],
    ['UNAUTHORIZED', 'the token was issued for an earlier repository with this name'],
  );
});
