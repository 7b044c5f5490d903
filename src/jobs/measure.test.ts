import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { fenceOrphan, recordStored } from '../db/blobs.ts';
import { parseDigest } from '../oci/digest.ts';
import { findStored, measure } from './measure.ts';

const newDigest = () => parseDigest(`sha256:${randomBytes(32).toString('hex')}`);

for (const { name, open } of dialects) {
  test(`${name}: stored blobs are counted once each, over more than one slice, and deleted ones are not`, async (t) => {
    const database = await open(t);
    assert.equal(await findStored(database.read), undefined);
    const count = 2_100;
    await database.transaction(async (db) => {
      for (let size = 1; size <= count; size++) {
        await recordStored(db, { digest: newDigest(), size, generation: 0 }, 1);
      }
      await fenceOrphan(db, newDigest(), 0, 1);
    });
    const stored = { blobs: count, bytes: (count * (count + 1)) / 2 };
    assert.deepEqual(await measure({ database }, AbortSignal.timeout(60_000)), stored);
    assert.deepEqual(await findStored(database.read), stored);
  });
}
