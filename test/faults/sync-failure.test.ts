import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { files } from '../../src/storage/files.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { testRegistry } from '../support/registry.ts';
import { blobFile, digestOf, filesBelow } from './consistency.ts';

test('never acknowledges bytes whose sync failed, however often the client retries', async (t) => {
  let syncFails = false;
  const { app, data } = await testRegistry(t, {}, async (data) => ({
    store: await openFilesystemStore(data, {
      ...files,
      // Like the kernel, which drops the pages that it could not write and reports success at the next sync.
      fsync: (async (fd: number) => {
        const fails = syncFails;
        syncFails = false;
        if (fails) throw Object.assign(new Error('EIO'), { code: 'EIO' });
        await files.fsync(fd);
      }) as typeof files.fsync,
    }),
  }));
  const bytes = Buffer.from('dropped by the disk');
  const digest = digestOf(bytes);
  const { url } = await app.listen();
  const opened = await fetch(`${url}/v2/a/blobs/uploads/`, { method: 'POST' });
  const location = url + opened.headers.get('location');
  assert.equal((await fetch(location, { method: 'PATCH', body: bytes })).status, 202);

  syncFails = true;
  const failed = await fetch(`${location}?digest=${digest}`, { method: 'PUT' });
  assert.equal(failed.status, 503);

  const again = await fetch(`${location}?digest=${digest}`, { method: 'PUT' });
  assert.equal(again.status, 404);
  assert.equal(
    ((await again.json()) as { errors: { code: string }[] }).errors[0]?.code,
    'BLOB_UPLOAD_UNKNOWN',
  );
  assert.ok(!existsSync(blobFile(data, digest)));
  assert.deepEqual(filesBelow(`${data}/uploads`), []);

  const afresh = await fetch(`${url}/v2/a/blobs/uploads/?digest=${digest}`, { method: 'POST', body: bytes });
  assert.equal(afresh.status, 201);
});
