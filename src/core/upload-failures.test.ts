// The last request of an upload fails at each of its calls to store and database in turn. A client that then asks for the session's
// progress and continues from there completes its blob.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { failingDatabase } from '../../test/faults/failing-database.ts';
import { failingFiles } from '../../test/faults/failing-files.ts';
import { failingStore } from '../../test/faults/failing-store.ts';
import { Faults } from '../../test/faults/faults.ts';
import { dialects, repositoryName } from '../../test/support/databases.ts';
import { s3Store } from '../../test/support/s3.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { system } from '../db/changes.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { openFilesystemStore } from '../storage/filesystem.ts';
import { streamBlob } from '../storage/stream-blob.ts';
import { Blobs } from './blobs.ts';
import { Uploads } from './uploads.ts';

const owner = 'user:1';
/** More milliseconds than a lease lasts without renewal. */
const lease = 20_000;
const maxCalls = 100;

const stores: Record<string, (t: TestContext, faults: Faults) => Promise<BlobStore | undefined>> = {
  files: async (t, faults) => openFilesystemStore(await temporaryDirectory(t), failingFiles(faults)),
  async S3(t, faults) {
    const store = await s3Store(t);
    return store && failingStore(store, faults);
  },
};

/** Number of bytes sent before the last request, and the digest algorithm of that request. */
const pushes = {
  'a last chunk': { before: 3_000, algorithm: 'sha256' },
  'a last chunk, and the digest of another algorithm': { before: 3_000, algorithm: 'sha512' },
  'no bytes': { before: 9_000, algorithm: 'sha256' },
  'no bytes, and the digest of another algorithm': { before: 9_000, algorithm: 'sha512' },
  'the whole blob': { before: 0, algorithm: 'sha256' },
} as const;

type Push = keyof typeof pushes;
const lastChunk: readonly Push[] = ['a last chunk'];
const acknowledged = (Object.keys(pushes) as Push[]).filter((push) => pushes[push].before === 3_000);

/** The slowest cases run only where a failure is most likely. */
const runs: readonly [store: string, lasting: boolean, sqlite: readonly Push[], postgres: readonly Push[]][] =
  [
    ['files', true, Object.keys(pushes) as Push[], lastChunk],
    ['files', false, acknowledged, []],
    ['S3', true, acknowledged, []],
  ];

for (const dialect of dialects) {
  for (const [storeName, lasting, sqlite, postgres] of runs) {
    const tried = dialect.name === 'SQLite' ? sqlite : postgres;
    if (tried.length === 0) continue;
    const how = lasting ? 'a call and all later ones fail' : 'one call fails';
    test(`${dialect.name}, ${storeName}: if ${how} during a PUT, the upload can be resumed or is finished`, async (t) => {
      const faults = new Faults();
      const store = await stores[storeName]?.(t, faults);
      if (store === undefined) return;
      const database = failingDatabase(await dialect.open(t), faults);
      let now = 1_000;
      const clock = () => now;
      const blobs = new Blobs({ database, store, clock });
      const newProcess = (onlyProcess = false) => new Uploads({ database, store, blobs, clock, onlyProcess });

      /** Whether the call belonged to the request. */
      async function failAt(at: number, moment: 'before' | 'after', push: Push, onlyProcess: boolean) {
        const { before, algorithm } = pushes[push];
        const uploads = newProcess(onlyProcess);
        const bytes = randomBytes(9_000);
        const digest = digestOf(bytes, algorithm);
        const session = await open(uploads);
        if (before > 0) await uploads.append(session, bodyOf(bytes.subarray(0, before)));
        faults.arm({ at, code: 'EIO', moment, lasting });
        const answer = uploads.finish(session, digest, bodyOf(bytes.subarray(before)), { by: system });
        const failed = await answer.then(
          () => false,
          () => true,
        );
        faults.disarm();
        const what = `${push}: ${moment} call ${at}, ${faults.hit}`;
        now += lease;
        // One call fails: the same process goes on.
        const next = onlyProcess && !lasting ? uploads : newProcess();
        if (failed) await resume(next, session, { bytes, digest, before, what });
        assert.ok((await stored(digest)).equals(bytes), what);
        return faults.hit !== undefined;
      }

      async function open(uploads: Uploads) {
        const { id } = await uploads.start(repositoryName, 'sha256', owner);
        return { name: repositoryName, id, owner };
      }

      async function resume(
        uploads: Uploads,
        session: Awaited<ReturnType<typeof open>>,
        { bytes, digest, before, what }: { bytes: Buffer; digest: Digest; before: number; what: string },
      ) {
        try {
          const { size } = await uploads.status(session);
          assert.ok(size >= before && size <= bytes.length, `${what}: ${size} bytes`);
          await uploads.finish(session, digest, bodyOf(bytes.subarray(size)), { by: system });
        } catch (error) {
          // The request stored the blob; only its answer was an error.
          if (isUnknown(error) && (await blobs.isUploadedBy(session, digest))) return;
          // Bytes whose sync failed are discarded.
          assert.ok(isUnknown(error) && faults.hit === 'fsync', `${what}: ${error}`);
          await uploads.finish(await open(uploads), digest, bodyOf(bytes), { by: system });
        }
      }

      async function stored(digest: Digest): Promise<Buffer> {
        const opened = await blobs.open(await blobs.find(repositoryName, digest));
        return buffer(streamBlob(opened)).finally(() => opened.close());
      }

      for (const push of tried) {
        for (const moment of ['before', 'after'] as const) {
          for (const onlyProcess of dialect.name === 'SQLite' ? [false, true] : [false]) {
            let at = 1;
            while (await failAt(at, moment, push, onlyProcess)) at += 1;
            assert.ok(at > 5 && at < maxCalls, `${push}: ${at} calls`);
          }
        }
      }
    });
  }
}

function bodyOf(bytes: Buffer) {
  return { open: () => Readable.from(bytes.length === 0 ? [] : [bytes]), empty: bytes.length === 0 };
}

function digestOf(bytes: Buffer, algorithm: string): Digest {
  return parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`);
}

function isUnknown(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN';
}
