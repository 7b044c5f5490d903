import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../test/support/cleanup.ts';
import { bucketFolder, s3Settings } from '../../test/support/s3.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { type BackupStore, backupName, contentsFile, timeOfBackup } from './backup-store.ts';
import { filesystemBackups } from './filesystem-backups.ts';
import { openS3Backups } from './s3/backups.ts';

interface World {
  readonly store: BackupStore;
  /** The folder with the backups. */
  readonly folder: string;
}

const worlds: Record<string, (t: TestContext) => Promise<World | undefined>> = {
  async 'a directory'(t) {
    const folder = join(await temporaryDirectory(t), 'backups');
    return { store: filesystemBackups(folder), folder };
  },
  async 'a bucket'(t) {
    const settings = await s3Settings(t, { prefix: 'nightly/' });
    if (settings === undefined) return undefined;
    const store = await openS3Backups(settings);
    cleanUp(t, async () => store.close());
    return { store, folder: join(await bucketFolder(settings), 'nightly') };
  },
};

const [first, second] = [backupName(Date.UTC(2026, 0, 31, 3)), backupName(Date.UTC(2026, 1, 1, 3))];

for (const [name, open] of Object.entries(worlds)) {
  test(`${name}: a backup is complete only after its last file, and is listed by time`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { store } = world;
    assert.deepEqual(await store.list(), []);
    const draft = await store.begin(second);
    await draft.write('tags', Buffer.from('rows'));
    assert.equal(Buffer.from((await draft.read('tags'))!).toString(), 'rows');
    assert.equal(await draft.read('blobs'), undefined);
    assert.equal(await store.read(second, contentsFile), undefined);
    assert.deepEqual(await store.list(), [{ name: second, isComplete: false }]);
    await draft.complete(Buffer.from('{}'));
    await (await store.begin(first)).complete(Buffer.from('{}'));
    assert.deepEqual(
      await store.list(),
      [first, second].map((name) => ({ name, isComplete: true })),
    );
    assert.equal(Buffer.from((await store.read(second, 'tags'))!).toString(), 'rows');
    assert.equal(await store.read(second, 'blobs'), undefined);
  });

  test(`${name}: deletes complete and unfinished backups, and nothing beside them`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { store, folder } = world;
    const complete = await store.begin(first);
    await complete.write('tags', Buffer.from('rows'));
    await complete.complete(Buffer.from('{}'));
    const unfinished = await store.begin(second);
    await unfinished.write('tags', Buffer.from('rows'));
    await mkdir(join(folder, 'berth-backup-mine'));
    await writeFile(join(folder, 'berth-backup-mine', 'notes'), 'mine');
    await unfinished.discard();
    assert.deepEqual(await store.list(), [{ name: first, isComplete: true }]);
    await store.delete(first);
    assert.deepEqual(await store.list(), []);
    assert.deepEqual(await readdir(join(folder, 'berth-backup-mine')), ['notes']);
  });
}

test('the name of a backup has its time, in seconds', () => {
  const time = Date.UTC(2026, 0, 31, 3, 4, 5);
  assert.equal(backupName(time + 678), 'berth-backup-2026-01-31T03-04-05Z');
  assert.equal(timeOfBackup(backupName(time)), time);
  for (const other of ['', 'blobs', 'berth-backup-', 'berth-backup-2026-01-31T03-04-05Z.partial']) {
    assert.equal(timeOfBackup(other), undefined, other);
  }
});

test('does not create the folders above that of the backups', async (t) => {
  const root = await temporaryDirectory(t);
  const store = filesystemBackups(join(root, 'not', 'mounted'));
  await assert.rejects(store.begin(first), { code: 'ENOENT' });
  await assert.rejects(store.openBlobs({ inspectOnly: false }), { code: 'ENOENT' });
  assert.deepEqual(await readdir(root), []);
});
