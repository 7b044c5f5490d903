import assert from 'node:assert/strict';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../test/support/cleanup.ts';
import { bucketFolder, s3Settings } from '../../test/support/s3.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { filesystemTree } from './filesystem-tree.ts';
import { s3Tree } from './s3/tree.ts';
import type { StoreTree } from './store-tree.ts';

interface Opened {
  readonly tree: StoreTree;
  /** The directory of its files. */
  readonly folder: string;
}

const stores: Record<string, (t: TestContext) => Promise<Opened | undefined>> = {
  async files(t) {
    const folder = await temporaryDirectory(t);
    return { tree: filesystemTree(folder), folder };
  },
  async S3(t) {
    const settings = await s3Settings(t, { prefix: 'below/' });
    if (settings === undefined) return undefined;
    const tree = s3Tree(settings);
    cleanUp(t, () => tree.close());
    return { tree, folder: join(await bucketFolder(settings), 'below') };
  },
};

async function write(folder: string, ...keys: string[]): Promise<void> {
  for (const key of keys) {
    await mkdir(dirname(join(folder, key)), { recursive: true });
    await writeFile(join(folder, key), key);
  }
}

async function count({ tree }: Opened, folder: string): Promise<number> {
  let total = 0;
  for await (const count of tree.count(folder)) total += count;
  return total;
}

const keysOf = async ({ tree }: Opened, folder: string): Promise<string[]> =>
  (await Array.fromAsync(tree.list(folder))).map(({ key }) => key);

for (const [name, open] of Object.entries(stores)) {
  test(`${name}: lists the files of a folder in order, with size and time`, async (t) => {
    const opened = await open(t);
    if (opened === undefined) return;
    const { tree, folder } = opened;
    const keys = ['a/_x/1', 'a/_y/2', 'a/b/c/d/3', 'a/b/e', 'b/4'];
    await write(folder, ...keys, 'ab');
    await utimes(join(folder, 'b/4'), 1_700_000_000, 1_700_000_000);
    assert.deepEqual(await keysOf(opened, 'a/'), keys.slice(0, 4));
    assert.deepEqual(await Array.fromAsync(tree.list('b/')), [
      { key: 'b/4', size: 3, modifiedAt: 1_700_000_000_000 },
    ]);
    assert.deepEqual(await keysOf(opened, 'missing/'), []);
    assert.deepEqual([await count(opened, 'a/'), await count(opened, 'missing/')], [4, 0]);
  });

  test(`${name}: lists all files of large folders`, async (t) => {
    const opened = await open(t);
    if (opened === undefined) return;
    const keys = Array.from({ length: 1100 }, (_, i) => `x/${String(i).padStart(4, '0')}`);
    const below = Array.from({ length: 70 }, (_, i) => `y/${String(i).padStart(2, '0')}/data`);
    await write(opened.folder, ...keys, ...below);
    assert.deepEqual(await keysOf(opened, 'x/'), keys);
    assert.deepEqual(await keysOf(opened, 'y/'), below);
    assert.equal(await count(opened, 'y/'), 70);
  });

  test(`${name}: reads a file up to a limit`, async (t) => {
    const opened = await open(t);
    if (opened === undefined) return;
    const { tree, folder } = opened;
    await write(folder, 'a/file');
    await writeFile(join(folder, 'a/empty'), '');
    assert.equal(String(await tree.read('a/file', 6)), 'a/file');
    assert.equal((await tree.read('a/empty', 6))?.length, 0);
    assert.equal(await tree.read('a/missing', 6), undefined);
    await assert.rejects(tree.read('a/file', 5), {
      name: 'FileTooLarge',
      message: 'a/file has 6 bytes, more than 5',
    });
  });
}

test('files: follows a link to a file, and reads no folder as a file', async (t) => {
  const folder = await temporaryDirectory(t);
  const tree = filesystemTree(folder);
  await write(folder, 'a/file', 'b/x');
  await symlink('../a/file', join(folder, 'b/link'));
  await symlink('nowhere', join(folder, 'b/lost'));
  assert.deepEqual(
    (await Array.fromAsync(tree.list('b/'))).map(({ key, size }) => [key, size]),
    [
      ['b/link', 6],
      ['b/x', 3],
    ],
  );
  await assert.rejects(tree.read('a', 100), { message: 'a is not a file' });
});
