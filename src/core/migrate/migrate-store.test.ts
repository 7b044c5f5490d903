import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client } from '../../../test/support/inject.ts';
import { testRegistry } from '../../../test/support/registry.ts';
import { s3Store } from '../../../test/support/s3.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { listAuditEntries } from '../../db/audit-events.ts';
import { system } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { reasonOfMove } from '../../db/database.ts';
import { readOnlyReason } from '../../db/read-only.ts';
import { openSqlite } from '../../db/sqlite/sqlite.ts';
import { asDigest } from '../../oci/digest.ts';
import { type BlobStore, blobKey } from '../../storage/blob-store.ts';
import { openFilesystemStore } from '../../storage/filesystem.ts';
import { streamBlob } from '../../storage/stream-blob.ts';
import { CannotMigrate } from './cannot-migrate.ts';
import type { Copied } from './copy-blobs.ts';
import { type MigrateStoreParts, migrateStore } from './migrate-store.ts';

interface Fixture {
  readonly database: Database;
  readonly source: BlobStore;
  readonly target: BlobStore;
  readonly data: string;
  readonly client: Client;
  /** Digest and bytes of each pushed blob. */
  readonly blobs: Map<string, Buffer>;
  readonly problems: string[];
  copy(finish?: boolean, parts?: Partial<MigrateStoreParts>): Promise<Copied>;
}

/** A running registry with ten blobs, and another store. */
async function fixture(t: TestContext): Promise<Fixture> {
  let database: Database | undefined;
  const { app, data } = await testRegistry(t, {}, async (data) => {
    database = await openSqlite(join(data, 'berth.db'));
    return { database };
  });
  const client = new Client(app.http);
  const blobs = new Map<string, Buffer>();
  for (let i = 0; i < 10; i++) {
    const bytes = i === 0 ? Buffer.alloc(0) : randomBytes(1 << (2 * i));
    blobs.set(await client.pushBlob('app', bytes, i === 1 ? 'sha512' : 'sha256'), bytes);
  }
  const source = await openFilesystemStore(data);
  const target = await openFilesystemStore(await temporaryDirectory(t));
  const problems: string[] = [];
  const parts = { database: database!, by: system, source, target, begin: async () => {}, done() {} };
  const signal = new AbortController().signal;
  const problem = (text: string) => void problems.push(text);
  return {
    ...parts,
    data,
    client,
    blobs,
    problems,
    copy: (finish, more) =>
      migrateStore(
        { ...parts, signal, problem, ...more },
        finish ? { reason: reasonOfMove('new.yaml') } : undefined,
      ),
  };
}

async function assertHolds(store: BlobStore, blobs: Fixture['blobs']): Promise<void> {
  for (const [digest, bytes] of blobs) {
    const found = await store.read(blobKey(asDigest(digest)!, 0));
    assert.ok(found, `${digest} is missing`);
    const chunks = await streamBlob(found).toArray();
    found.close();
    assert.ok(Buffer.concat(chunks).equals(bytes), digest);
  }
}

test('copies every stored blob, and the next run finds them present', async (t) => {
  const { copy, target, blobs } = await fixture(t);
  assert.partialDeepStrictEqual(await copy(), { blobs: 10, copied: 10, problems: 0 });
  await assertHolds(target, blobs);
  assert.partialDeepStrictEqual(await copy(), { blobs: 10, copied: 0, bytes: 0 });
  assert.deepEqual(await Array.fromAsync(target.listUploads()), []);
});

test('records when each run begins and ends, and that the registry became read-only', async (t) => {
  const { copy, database } = await fixture(t);
  const kinds = async () => {
    const entries = await listAuditEntries(database.read, {}, undefined, 1_000);
    return entries.filter(({ action }) => !action.endsWith('.push')).map(({ action }) => action);
  };
  await copy();
  assert.deepEqual(await kinds(), ['migration.begin', 'migration.end']);
  const away = async () => {
    throw new Error('the target is away');
  };
  await assert.rejects(copy(true, { begin: away }), /away/);
  assert.deepEqual((await kinds()).slice(2), ['migration.begin']);
  await copy(true);
  const last = ['migration.begin', 'registry.read-only', 'migration.end'];
  assert.deepEqual((await kinds()).slice(3), last);
});

test('copies to a bucket and back', async (t) => {
  const { copy, blobs } = await fixture(t);
  const bucket = await s3Store(t);
  if (bucket === undefined) return;
  assert.partialDeepStrictEqual(await copy(false, { target: bucket }), { copied: 10 });
  await assertHolds(bucket, blobs);
  const back = await openFilesystemStore(await temporaryDirectory(t));
  assert.partialDeepStrictEqual(await copy(false, { source: bucket, target: back }), { copied: 10 });
  await assertHolds(back, blobs);
});

test('blobs pushed during the copy are copied by the end, and then pushes are refused', async (t) => {
  const { copy, target, blobs, client } = await fixture(t);
  const pushed = randomBytes(1000);
  let begun = 0;
  const begin = async (): Promise<void> => {
    begun += 1;
  };
  let once: Promise<void> | undefined;
  // After the first blob, in the middle of the walk.
  const done = () => {
    once ??= client.pushBlob('app', pushed).then((digest) => void blobs.set(digest, pushed));
  };
  await copy(true, { begin, done });
  await once;
  assert.equal(begun, 2);
  await assertHolds(target, blobs);
  const refused = await client.send('POST', '/v2/app/blobs/uploads/');
  assert.equal(refused.status, 503);
});

test('a blob that was deleted and pushed again is copied from its new key', async (t) => {
  const { database, copy, target, source } = await fixture(t);
  const digest = (await database.read.selectFrom('blobs').select('digest').executeTakeFirstOrThrow()).digest;
  const of = (generation: number) => blobKey(asDigest(digest)!, generation);
  await database.transaction((db) =>
    db.updateTable('blobs').set({ generation: 3 }).where('digest', '=', digest).execute(),
  );
  const bytes = await source.read(of(0));
  const staged = await source.append({ id: 'again', size: 0, staged: '' }, streamBlob(bytes!), { tap() {} });
  bytes!.close();
  await source.commit({ id: 'again', ...staged }, of(3));
  await copy();
  assert.notEqual(await target.stat(of(3)), undefined);
  assert.equal(await target.stat(of(0)), undefined);
});

for (const [what, damage, says] of [
  ['that is missing', (file: string) => unlink(file), /is missing: docker.* does not exist/],
  [
    'with other bytes',
    (file: string) => writeFile(file, randomBytes(4 ** 8)),
    /is damaged: its 65536 bytes have the digest sha256:/,
  ],
  [
    'that was truncated',
    (file: string) => writeFile(file, 'x'),
    /is damaged: its 1 bytes have the digest sha256:/,
  ],
] as const) {
  test(`a blob ${what} is reported and left out, and the registry stays writable`, async (t) => {
    const { copy, blobs, data, target, problems, database } = await fixture(t);
    const [digest] = [...blobs].find(([, bytes]) => bytes.length === 4 ** 8)!;
    const key = blobKey(asDigest(digest)!, 0);
    await damage(join(data, key));
    const ending = copy(true);
    await assert.rejects(
      ending,
      (error) => error instanceof CannotMigrate && /^a blob could/.test(error.message),
    );
    assert.match(problems.join(), new RegExp(`^blob ${digest} .*${says.source}`));
    assert.equal(problems.length, 1);
    assert.equal(await target.stat(key), undefined);
    blobs.delete(digest);
    await assertHolds(target, blobs);
    assert.equal(await readOnlyReason(database.read), undefined);
    assert.deepEqual(await Array.fromAsync(target.listUploads()), []);
  });
}

test('retries a store that fails once, but not a full one', async (t) => {
  const { copy, target, blobs } = await fixture(t);
  let failures = 1;
  const shaky: BlobStore = {
    ...target,
    append: async (...append) => {
      if (failures-- > 0) throw new Error('not now');
      return target.append(...append);
    },
  };
  await copy(false, { target: shaky });
  await assertHolds(target, blobs);
  let tries = 0;
  const full: BlobStore = {
    ...target,
    stat: async () => undefined,
    append: async () => {
      tries += 1;
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    },
  };
  await assert.rejects(copy(false, { target: full }), /full/);
  assert.ok(tries <= 8);
});

test('an interrupted run stops, and the next one copies the rest', async (t) => {
  const { copy, target, blobs } = await fixture(t);
  const interrupted = new AbortController();
  const done = () => interrupted.abort(new Error('enough'));
  await assert.rejects(copy(true, { signal: interrupted.signal, done }));
  await copy();
  await assertHolds(target, blobs);
});
