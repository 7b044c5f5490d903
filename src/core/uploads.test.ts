import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { dialects, repositoryName, type TestDialect } from '../../test/support/databases.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { system } from '../db/changes.ts';
import { findUpload, type UploadRow } from '../db/uploads.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { blobKey } from '../storage/blob-store.ts';
import { files as nodeFiles } from '../storage/files.ts';
import { openFilesystemStore } from '../storage/filesystem.ts';
import { Blobs } from './blobs.ts';
import { Uploads } from './uploads.ts';

/** Uploads on a disk that can fail a write, and the same data in another process. */
async function uploadsOf(t: TestContext, dialect: TestDialect) {
  const root = await temporaryDirectory(t);
  const database = await dialect.open(t);
  const disk = { now: 1000, failWrites: false };
  const store = await openFilesystemStore(root, {
    ...nodeFiles,
    writev: async (fd, buffers, position) => {
      const written = await nodeFiles.writev(fd, buffers, position);
      if (disk.failWrites) throw Object.assign(new Error('i/o error'), { code: 'EIO' });
      return written;
    },
  });
  const clock = () => disk.now;
  const blobs = new Blobs({ database, store, clock });
  const make = () => new Uploads({ database, store, blobs, clock });
  const stored = async (digest: string): Promise<number> => {
    const opened = await blobs.open(await blobs.find(repositoryName, parseDigest(digest)));
    opened.close();
    return opened.size;
  };
  return {
    uploads: make(),
    otherProcess: make,
    disk,
    stored,
    /** Resolves when a request holds the session's lease. */
    leased: async (id: string): Promise<void> => {
      while ((await findUpload(database.read, { name: repositoryName, id, owner }))?.writer === null)
        await setImmediate();
    },
    /** The first step of a commit. */
    moveToBlob: async (id: string, digest: Digest): Promise<void> => {
      const upload = await findUpload(database.read, { name: repositoryName, id, owner });
      await store.commit(upload as UploadRow, blobKey(digest, 0));
    },
    stagedFile: (id: string) => join(root, 'uploads', id),
  };
}

const owner = 'user:1';

function digestOf(bytes: Buffer | string, algorithm = 'sha256') {
  return parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`);
}

const body = (bytes: Buffer | string) => ({ open: () => Readable.from([Buffer.from(bytes)]) });
const nothing = () => ({ open: () => Readable.from([]) });

for (const dialect of dialects) {
  test(`${dialect.name}: bytes of a failed append do not become part of the blob`, async (t) => {
    const { uploads, disk, stored } = await uploadsOf(t, dialect);
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    await uploads.append(session, body('one'));
    disk.failWrites = true;
    await assert.rejects(uploads.append(session, body('lost')), { code: 'EIO' });
    disk.failWrites = false;
    assert.deepEqual(await uploads.status(session), { id, size: 3 });
    await uploads.finish(session, digestOf('one'), nothing(), { by: system });
    assert.equal(await stored(digestOf('one')), 3);
  });

  test(`${dialect.name}: bytes that do not match their Content-Range do not become part of the blob`, async (t) => {
    const { uploads, stored } = await uploadsOf(t, dialect);
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    await uploads.append(session, body('one'));
    const longer = { ...body('two, and more'), range: { first: 3, last: 5 } };
    await assert.rejects(uploads.append(session, longer), { code: 'RANGE_INVALID' });
    await uploads.finish(session, digestOf('one'), nothing(), { by: system });
    assert.equal(await stored(digestOf('one')), 3);
  });

  test(`${dialect.name}: another process continues the session, and hashes the earlier bytes again`, async (t) => {
    const { uploads, otherProcess, stored } = await uploadsOf(t, dialect);
    const [first, second] = [randomBytes(100_000), randomBytes(100_000)];
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    await uploads.append(session, body(first));
    await otherProcess().append(session, body(second));
    const digest = digestOf(Buffer.concat([first, second]), 'sha512');
    await uploads.finish(session, digest, nothing(), { by: system });
    assert.equal(await stored(digest), 200_000);
  });

  test(`${dialect.name}: a session that has lost its staged bytes ends with an error that tells the client to start again`, async (t) => {
    const { uploads, otherProcess, stagedFile } = await uploadsOf(t, dialect);
    for (const other of [uploads, otherProcess()]) {
      const { id } = await uploads.start(repositoryName, 'sha256', owner);
      const session = { name: repositoryName, id, owner };
      await uploads.append(session, body('one'));
      await rm(stagedFile(id));
      const finish = other.finish(session, digestOf('one'), nothing(), { by: system });
      await assert.rejects(finish, { code: 'BLOB_UPLOAD_UNKNOWN', detail: /start the upload again/ });
      await assert.rejects(uploads.status(session), { code: 'BLOB_UPLOAD_UNKNOWN' });
    }
  });

  test(`${dialect.name}: a PUT in another process completes the blob after its writer moved the bytes and died`, async (t) => {
    const { uploads, otherProcess, disk, leased, moveToBlob, stored } = await uploadsOf(t, dialect);
    for (const lease of ['given back', 'left behind']) {
      const { id } = await uploads.start(repositoryName, 'sha256', owner);
      const session = { name: repositoryName, id, owner };
      const digest = digestOf(lease);
      await uploads.append(session, body(lease));
      const stream = new PassThrough();
      if (lease === 'left behind') {
        uploads.append(session, { open: () => stream }).catch(() => {});
        await leased(id);
        disk.now += 60_000;
      }
      await moveToBlob(id, digest);
      await otherProcess().finish(session, digest, { ...nothing(), empty: true }, { by: system });
      assert.equal(await stored(digest), lease.length);
      stream.end();
    }
  });

  test(`${dialect.name}: a PUT repeated after a lost answer succeeds both times`, async (t) => {
    const { uploads, otherProcess } = await uploadsOf(t, dialect);
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    await uploads.append(session, body('one'));
    const put = (to: Uploads, digest: Digest) =>
      to.finish(session, digest, { ...nothing(), empty: true }, { by: system });
    await put(uploads, digestOf('one'));
    await put(otherProcess(), digestOf('one'));
    await assert.rejects(put(uploads, digestOf('two')), { code: 'BLOB_UPLOAD_UNKNOWN' });
  });

  test(`${dialect.name}: a second writer is refused, and the first continues`, async (t) => {
    const { uploads, leased } = await uploadsOf(t, dialect);
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    await uploads.append(session, body('one'));
    const stream = new PassThrough();
    const first = uploads.append(session, { open: () => stream });
    await leased(id);
    const second = uploads.append(session, body('two'));
    await assert.rejects(second, { code: 'RANGE_INVALID' });
    stream.end('two');
    assert.deepEqual(await first, { id, size: 6 });
  });

  test(`${dialect.name}: the lease of a dead writer is taken over, and its late writes are ignored`, async (t) => {
    const { uploads, otherProcess, disk, leased } = await uploadsOf(t, dialect);
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    const stream = new PassThrough();
    const dead = uploads.append(session, { open: () => stream });
    await leased(id);
    disk.now += 60_000;
    await otherProcess().append(session, body('new'));
    stream.end('late');
    await assert.rejects(dead, { code: 'BLOB_UPLOAD_UNKNOWN' });
    assert.deepEqual(await uploads.status(session), { id, size: 3 });
  });

  test(`${dialect.name}: bytes that a writer sends after a takeover do not become part of the blob`, async (t) => {
    const { uploads, otherProcess, disk, leased, stored } = await uploadsOf(t, dialect);
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    await uploads.append(session, body('one'));
    const stream = new PassThrough();
    const stalled = uploads.append(session, { open: () => stream });
    await leased(id);
    disk.now += 60_000;
    const successor = otherProcess();
    await successor.append(session, body('two'));
    stream.end('late');
    await assert.rejects(stalled, { code: 'BLOB_UPLOAD_UNKNOWN' });
    await successor.finish(session, digestOf('onetwo'), nothing(), { by: system });
    assert.equal(await stored(digestOf('onetwo')), 6);
  });

  test(`${dialect.name}: a cached hash is not used for other bytes of the same length from another replica`, async (t) => {
    const { uploads, otherProcess, disk, leased, stored } = await uploadsOf(t, dialect);
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    const stream = new PassThrough();
    const stalled = uploads.append(session, { open: () => stream });
    await leased(id);
    disk.now += 60_000;
    await otherProcess().append(session, body('new'));
    stream.end('old');
    await assert.rejects(stalled, { code: 'BLOB_UPLOAD_UNKNOWN' });
    await uploads.finish(session, digestOf('new'), nothing(), { by: system });
    assert.equal(await stored(digestOf('new')), 3);
  });
}
