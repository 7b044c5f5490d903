import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { UploadRow } from '../db/uploads.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { digestBytes } from './running-hash.ts';
import { UploadHashes } from './upload-hashes.ts';

const bytes = Buffer.from('staged');

function upload(id: string, staged = Buffer.alloc(0)): UploadRow {
  return {
    id,
    repository_id: 1,
    algorithm: 'sha256',
    size: staged.length,
    digest: digestBytes('sha256', staged),
    staged: '',
    principal: '',
    charged_to: '',
  };
}

function setUp() {
  const read: string[] = [];
  const store: Pick<BlobStore, 'readUpload'> = {
    async readUpload({ id }) {
      read.push(id);
      return Readable.from([bytes]);
    },
  };
  return { read, hashes: new UploadHashes(store) };
}

test('a session in use keeps its running hash while 10,000 others begin', async () => {
  const { read, hashes } = setUp();
  for (let n = 0; n < 10_000; n++) {
    if (n % 4_000 === 0) await hashes.of(upload('in use', bytes));
    await hashes.of(upload(`${n}`));
  }
  await hashes.of(upload('in use', bytes));
  assert.deepEqual(read, ['in use'], 'the staged bytes are read once');
});

test('the running hash of a session that is not in use is evicted, and recomputed from the staged bytes', async () => {
  const { read, hashes } = setUp();
  await hashes.of(upload('idle', bytes));
  for (let n = 0; n < 10_000; n++) await hashes.of(upload(`${n}`));
  const hash = await hashes.of(upload('idle', bytes));
  assert.deepEqual(read, ['idle', 'idle']);
  assert.equal(hash.digest(), digestBytes('sha256', bytes));
});
