import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { decideDeletions } from '../db/blob-deletions.ts';
import { recordStored } from '../db/blobs.ts';
import { parseDigest } from '../oci/digest.ts';
import { findStored, measure } from './measure.ts';

const newDigest = () => parseDigest(`sha256:${randomBytes(32).toString('hex')}`);

for (const { name, open } of dialects) {
  test(`${name}: counts stored blobs once each over several batches, without deleted ones`, async (t) => {
    const database = await open(t);
    assert.equal(await findStored(database.read), undefined);
    const count = 2_100;
    await database.transaction(async (db) => {
      for (let size = 1; size <= count; size++) {
        await recordStored(db, { digest: newDigest(), size, generation: 0 }, 1);
      }
      const deleted = newDigest();
      await recordStored(db, { digest: deleted, size: 1_000, generation: 0 }, 1);
      await decideDeletions(db, [deleted], { reviewed: 2, parked: 2 });
    });
    const stored = { blobs: count, bytes: (count * (count + 1)) / 2 };
    assert.deepEqual(await measure({ database }, AbortSignal.timeout(60_000)), stored);
    assert.deepEqual(await findStored(database.read), stored);
  });
}
