import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, insertNewManifest, makeRepository } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import type { Database } from './database.ts';
import { insertReferences } from './manifests.ts';
import { findAnnotations, listChildren, listReferrers, type ReferrerKey } from './referrers.ts';

const subject = digestNumber(999);
const signature = 'application/vnd.cncf.notary.signature';

function insert(database: Database, repository: number, number: number, artifactType: string | null) {
  const manifest = {
    repository,
    digest: digestNumber(number),
    mediaType: 'a/b',
    bytes: Buffer.from('{}'),
    subject,
    artifactType,
    annotations: number === 1 ? '{"a":"b"}' : null,
  };
  return database.transaction((db) => insertNewManifest(db, manifest, 1));
}

for (const { name, open } of dialects) {
  test(`${name}: lists referrers by rank and digest, page by page, and by type`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const elsewhere = await makeRepository(database, parseName('other'));
    for (const number of [3, 1, 4, 2]) await insert(database, repository, number, number % 2 ? 'odd' : null);
    await insert(database, repository, 5, signature);
    await insert(database, elsewhere, 6, 'odd');
    const list = async (after: Partial<ReferrerKey>, limit: number, artifactType?: string) =>
      (
        await listReferrers(database.read, repository, subject, {
          after: { rank: 0, digest: '', ...after },
          limit,
          artifactType,
        })
      ).map((row) => row.digest);
    assert.deepEqual(await list({}, 10), [5, 1, 2, 3, 4].map(digestNumber));
    assert.deepEqual(await list({}, 2), [5, 1].map(digestNumber));
    assert.deepEqual(await list({ rank: 2, digest: digestNumber(1) }, 2), [2, 3].map(digestNumber));
    assert.deepEqual(await list({ digest: digestNumber(5) }, 1), [digestNumber(1)]);
    assert.deepEqual(await list({}, 10, 'odd'), [1, 3].map(digestNumber));
    assert.deepEqual(await list({ rank: 2, digest: digestNumber(1) }, 10, 'odd'), [digestNumber(3)]);
    assert.deepEqual(await list({}, 10, "odd' or '1'='1"), []);
  });

  test(`${name}: lists the existing children of an index in its repository`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const elsewhere = await makeRepository(database, parseName('other'));
    const index = await insert(database, repository, 10, null);
    await insert(database, repository, 1, 'odd');
    await insert(database, repository, 2, null);
    await insert(database, elsewhere, 3, null);
    await database.transaction((db) => insertReferences(db, index, 'child', [4, 3, 1].map(digestNumber)));
    await database.transaction((db) => insertReferences(db, index, 'blob', [digestNumber(2)]));
    const [row, ...others] = await listChildren(database.read, repository, index, '');
    assert.equal(others.length, 0);
    const { id, ...seen } = { ...row };
    assert.deepEqual(seen, {
      rank: 2,
      digest: digestNumber(1),
      media_type: 'a/b',
      size: 2,
      artifact_type: 'odd',
      annotations_size: 9,
      subject_digest: subject,
    });
    assert.deepEqual(await listChildren(database.read, repository, index, digestNumber(1)), []);
    const annotations = await findAnnotations(database.read, [id as number, index]);
    assert.deepEqual([...annotations], [[id, '{"a":"b"}']]);
  });
}
