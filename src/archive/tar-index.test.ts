import assert from 'node:assert/strict';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Pax } from 'tar/pax';
import { run } from '../../test/support/command.ts';
import { type TarFile, tarOf } from '../../test/support/tar.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { indexTar } from './tar-index.ts';

async function index(t: TestContext, bytes: Buffer, limit?: number) {
  const file = join(await temporaryDirectory(t), 'a.tar');
  await writeFile(file, bytes);
  await using handle = await open(file);
  return [...(await indexTar(handle, bytes.length, limit)).entries()];
}

test('finds files with the long names of every format of GNU tar', async (t) => {
  const folder = await temporaryDirectory(t);
  const name = `${'d'.repeat(90)}/${'f'.repeat(128)}`;
  for (const format of ['gnu', 'pax']) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), 'hello\n');
    await run('tar', [`--format=${format}`, '-cf', `${format}.tar`, dirname(name)], { cwd: folder });
    await using handle = await open(join(folder, `${format}.tar`));
    const { size } = await handle.stat();
    const [[path, entry], ...others] = [...(await indexTar(handle, size)).entries()] as [
      [string, { offset: number; size: number }],
    ];
    assert.deepEqual([path, others], [name, []]);
    const { buffer } = await handle.read(Buffer.alloc(entry.size), 0, entry.size, entry.offset);
    assert.equal(buffer.toString(), 'hello\n');
  }
});

test('an extended header applies to the next file only', async (t) => {
  const extended = new Pax({ path: 'long/name' }).encode();
  const files = tarOf([
    ['./a', 'aa'],
    ['b/', '', { type: 'Directory' }],
    ['c', ''],
  ]);
  assert.deepEqual(await index(t, Buffer.concat([extended, files])), [
    ['long/name', { offset: extended.length + 512, size: 2 }],
    ['c', { offset: extended.length + 2_048, size: 0 }],
  ]);
});

test('refuses more entries than the limit, and a wrong checksum', async (t) => {
  const files: TarFile[] = [
    ['a', ''],
    ['b', ''],
  ];
  assert.equal((await index(t, tarOf(files), 2)).length, 2);
  await assert.rejects(index(t, tarOf([...files, ['c', '']]), 2), /more than 2 entries/);
  const bytes = tarOf(files);
  bytes.write('x', 512);
  await assert.rejects(index(t, bytes), /no valid header at byte 512/);
});
