import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import type { Database } from './database.ts';
import { insertManifest } from './manifests.ts';
import { findReferrer, listReferrers } from './referrers.ts';

const subject = digestNumber(999);

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
  return database.transaction((db) => insertManifest(db, manifest, 1));
}

for (const { name, open } of dialects) {
  test(`${name}: what refers to a digest is listed by digest, page by page, and by type`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const elsewhere = await makeRepository(database, parseName('other'));
    for (const number of [3, 1, 4, 2]) await insert(database, repository, number, number % 2 ? 'odd' : null);
    await insert(database, elsewhere, 5, 'odd');
    const list = async (after: string, limit: number, artifactType?: string) =>
      (await listReferrers(database.read, repository, subject, { after, limit, artifactType })).map(
        (row) => row.digest,
      );
    assert.deepEqual(await list('', 10), [1, 2, 3, 4].map(digestNumber));
    assert.deepEqual(await list('', 2), [1, 2].map(digestNumber));
    assert.deepEqual(await list(digestNumber(2), 2), [3, 4].map(digestNumber));
    assert.deepEqual(await list('', 10, 'odd'), [1, 3].map(digestNumber));
    assert.deepEqual(await list(digestNumber(1), 10, 'odd'), [digestNumber(3)]);
    assert.deepEqual(await list('', 10, "odd' or '1'='1"), []);
    assert.deepEqual(
      await listReferrers(database.read, repository, digestNumber(1), { after: '', limit: 10 }),
      [],
    );
  });

  test(`${name}: one manifest is seen as a listing sees it, in its own repository`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    await insert(database, repository, 1, 'odd');
    const row = {
      digest: digestNumber(1),
      media_type: 'a/b',
      size: 2,
      artifact_type: 'odd',
      annotations: '{"a":"b"}',
    };
    assert.deepEqual({ ...(await findReferrer(database.read, repository, digestNumber(1))) }, row);
    assert.equal(await findReferrer(database.read, repository + 1, digestNumber(1)), undefined);
    assert.equal(await findReferrer(database.read, repository, digestNumber(2)), undefined);
  });
}
