import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { berthReading, makeRegistry } from '../../test/support/berth.ts';
import { digestOf, ociConfig, ociIndex, ociManifest } from '../../test/support/inject.ts';
import { type TarFile, tarOf } from '../../test/support/tar.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const layer = 'application/vnd.oci.image.layer.v1.tar';

/** An empty registry and a file for an archive. */
async function registry(t: TestContext) {
  const folder = await temporaryDirectory(t);
  const data = join(folder, 'data');
  await makeRegistry(data);
  const file = join(folder, 'images.tar');
  const run = (...args: string[]) => berthReading([], ...args, '--data', data);
  return {
    data,
    folder,
    file,
    run,
    /** Imports an archive of these entries. */
    async load(files: readonly TarFile[], ...args: string[]) {
      await writeFile(file, tarOf(files));
      return run('import', file, ...args);
    },
  };
}

const blobFile = (bytes: string, digest = digestOf(bytes)): TarFile => [
  `blobs/${digest.replace(':', '/')}`,
  bytes,
];
const describe = (mediaType: string, bytes: string) => ({
  mediaType,
  digest: digestOf(bytes),
  size: Buffer.byteLength(bytes),
});
const manifestOf = (config: string, layers: readonly string[], more = {}) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: ociManifest,
    config: describe(ociConfig, config),
    layers: layers.map((bytes) => describe(layer, bytes)),
    ...more,
  });

const layout: TarFile = ['oci-layout', '{"imageLayoutVersion":"1.0.0"}'];
const image = manifestOf('{}', ['first', 'second']);
const annotations = {
  'io.containerd.image.name': 'localhost/acme/app:v1',
  'org.opencontainers.image.ref.name': 'v1',
};
const entryOf = (manifest: string, more: object = { annotations }) => ({
  ...describe(ociManifest, manifest),
  ...more,
});
const indexFile = (...manifests: unknown[]): TarFile => [
  'index.json',
  JSON.stringify({ schemaVersion: 2, manifests }),
];
/** A layout with its index as the last file. */
const archive = [
  layout,
  ...['{}', 'first', 'second', image].map((bytes) => blobFile(bytes)),
  indexFile(entryOf(image)),
];
/** {@link archive} with other files in the place of some. */
const changed = (...files: TarFile[]): TarFile[] => [
  ...archive.filter(([path]) => !files.some(([other]) => other === path)),
  ...files,
];
const added = (
  counts: readonly [tags: number, manifests: number, blobs: number, bytes: number],
  name = 'acme/app',
) => [{ name, tags: counts[0], manifests: counts[1], blobs: counts[2], bytes: counts[3] }];

test('imports a file, a directory, a gzip archive and standard input, and a second time nothing', async (t) => {
  const { folder, file, data, load, run } = await registry(t);
  assert.deepEqual(JSON.parse((await load(archive, '--json')).out), added([1, 1, 3, 13]));
  await writeFile(`${file}.gz`, gzipSync(tarOf(archive)));
  const directory = join(folder, 'layout');
  for (const [path, bytes] of archive) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), bytes);
  }
  for (const source of [file, `${file}.gz`, directory]) {
    assert.deepEqual(JSON.parse((await run('import', source, '--json')).out), added([0, 0, 0, 0]), source);
  }
  for (const bytes of [tarOf(archive), gzipSync(tarOf(archive))]) {
    const { out } = await berthReading([bytes], 'import', '-', '--to', 'other/app', '--json', '--data', data);
    assert.equal(JSON.parse(out)[0].name, 'other/app');
  }
  assert.ok(!(await readdir(data)).some((name) => name.startsWith('import-')), 'no temporary file');
  assert.match((await run('fsck', '--read-data')).out, /2 manifests.*: 0 errors/);
});

test('an import that failed half-way ends the same when it is repeated', async (t) => {
  const { load } = await registry(t);
  const [path] = blobFile('second');
  const broken = await load(changed([path, 'SECOND']));
  assert.equal(broken.exitCode, 1);
  assert.match(broken.err, /acme\/app "sha256:.*": digest is malformed or does not match the content/);
  assert.deepEqual(JSON.parse((await load(archive, '--json')).out), added([1, 1, 1, 6]));
});

test('names: --to, tags, whole names of podman, and archives without a name', async (t) => {
  const { load, run } = await registry(t);
  const named = (annotations: object | undefined) =>
    changed(indexFile(entryOf(image, annotations ? { annotations } : {})));
  const refName = 'org.opencontainers.image.ref.name';
  const imported = async (files: readonly TarFile[], ...args: string[]) => {
    const { exitCode, err, out } = await load(files, ...args, '--json');
    return exitCode === 0 ? JSON.parse(out)[0].name : err;
  };
  assert.equal(await imported(named({ [refName]: 'registry.example:5000/team/tool:1.0' })), 'team/tool');
  assert.equal(await imported(named({ 'io.containerd.image.name': 'docker.io/library/alpine:3' })), 'alpine');
  assert.equal(await imported(named({ [refName]: '1.0' }), '--to', 'acme/tool'), 'acme/tool');
  assert.equal(await imported(named(undefined), '--to', 'acme/none:v7'), 'acme/none');
  assert.match(await imported(named({ [refName]: '1.0' })), /does not name the repository of .*--to/);
  assert.match(await imported(archive, '--to', 'acme/tool:v7'), /--to may name a tag only/);
  const other = { annotations: { 'io.containerd.image.name': 'localhost/acme/b:v1' } };
  const two = changed(indexFile(entryOf(image), entryOf(image, other)));
  assert.match(await imported(two, '--to', 'acme/x'), /images of 2 repositories .* without --to/);
  const repositories = JSON.parse((await run('repo', 'list', '--json')).out);
  assert.deepEqual(
    repositories.map(({ name, tags }: { name: string; tags: number }) => [name, tags]),
    [
      ['acme/none', 1],
      ['acme/tool', 1],
      ['alpine', 1],
      ['team/tool', 1],
    ],
  );
});

test('new blobs raise the epoch of the database and the store, and a read-only registry refuses them', async (t) => {
  const { data, load, run } = await registry(t);
  const epoch = async (): Promise<number> =>
    JSON.parse(await readFile(join(data, 'berth-store.json'), 'utf8')).epoch;
  await load(archive);
  const before = await epoch();
  await load(archive);
  assert.equal(await epoch(), before, 'nothing new');
  const other = manifestOf('{}', ['third']);
  await load(changed(blobFile('third'), blobFile(other), indexFile(entryOf(other))));
  assert.ok((await epoch()) > before);
  assert.match((await run('fsck')).out, /: 0 errors/);
  assert.equal((await run('read-only', 'on')).exitCode, 0);
  assert.match((await load(archive, '--to', 'acme/other')).err, /^berth: .*read-only.*\n$/);
});

test('an immutable tag is not moved, and the changes are recorded', async (t) => {
  const { load, run } = await registry(t);
  assert.equal((await load(archive)).exitCode, 0);
  assert.equal((await run('tag', 'rule', 'add', 'v*', '--repository', 'acme/app')).exitCode, 0);
  assert.equal((await load(archive)).exitCode, 0, 'the same image');
  const other = manifestOf('{}', ['first']);
  const { exitCode, err } = await load(changed(blobFile(other), indexFile(entryOf(other))));
  assert.equal(exitCode, 1);
  assert.match(err, /tag v1 is immutable: rule "v\*" of repository acme\/app/);
  const events = (await run('audit', 'export')).out.trim().split('\n');
  const count = (action: string) => events.filter((line) => JSON.parse(line).action === action).length;
  assert.deepEqual([count('blob.push'), count('manifest.push')], [3, 3]);
});

test('imports an archive of docker save as Docker wrote it before version 25', async (t) => {
  const { load, run } = await registry(t);
  const config = JSON.stringify({
    rootfs: { type: 'layers', diff_ids: [digestOf('first'), digestOf('first')] },
  });
  const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
  const saved = (layers: readonly string[]): TarFile[] => [
    [`${a}/layer.tar`, 'first'],
    [`${b}/layer.tar`, '', { type: 'SymbolicLink', linkpath: `../${a}/layer.tar` }],
    ['config.json', config],
    ['manifest.json', JSON.stringify([{ Config: 'config.json', RepoTags: ['acme/app:v1'], Layers: layers }])],
  ];
  const layers = [`${a}/layer.tar`, `${b}/layer.tar`];
  assert.deepEqual(
    JSON.parse((await load(saved(layers), '--json')).out),
    added([1, 1, 2, 5 + config.length]),
  );
  assert.deepEqual(JSON.parse((await load(saved(layers), '--json')).out), added([0, 0, 0, 0]));
  assert.match((await run('fsck', '--read-data')).out, /: 0 errors/);
  assert.match((await load(saved(layers.slice(1)))).err, /has 2 layers, manifest.json has 1/);
  assert.match((await load(saved([...layers.slice(1), '../../etc/passwd']))).err, /which the archive lacks/);
});

const nested = (depth: number): TarFile[] => {
  const files: TarFile[] = [];
  let inner = { mediaType: ociManifest as string, bytes: image };
  for (let level = 0; level < depth; level++) {
    const manifests = [describe(inner.mediaType, inner.bytes)];
    inner = {
      mediaType: ociIndex,
      bytes: JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests }),
    };
    files.push(blobFile(inner.bytes));
  }
  return changed(...files, indexFile({ ...describe(ociIndex, inner.bytes), annotations }));
};

const hostile: readonly [what: string, files: readonly TarFile[], problem: RegExp][] = [
  ['a path with ..', changed(['../evil', 'x']), /entry "..\/evil" has a path that leads out of the archive/],
  ['a .. inside a path', changed(['blobs/../../evil', 'x']), /leads out of the archive/],
  ['an absolute path', changed(['/etc/evil', 'x']), /leads out of the archive/],
  [
    'a symbolic link',
    changed(['index.json', '', { type: 'SymbolicLink', linkpath: '/etc/passwd' }]),
    /not a regular file \(SymbolicLink\)/,
  ],
  [
    'a link of a layer out of the archive',
    changed([`${'a'.repeat(64)}/layer.tar`, '', { type: 'SymbolicLink', linkpath: '../../etc/passwd' }]),
    /not a regular file/,
  ],
  [
    'a hard link',
    changed(['other', '', { type: 'Link', linkpath: 'index.json' }]),
    /not a regular file \(Link\)/,
  ],
  ['a device', changed(['other', '', { type: 'CharacterDevice' }]), /not a regular file \(CharacterDevice\)/],
  ['a named pipe', changed(['other', '', { type: 'FIFO' }]), /not a regular file \(FIFO\)/],
  ['two entries of one name', [...archive, indexFile()], /two entries "index.json"/],
  ['two entries of one name with ./', [...archive, ['./index.json', '{}']], /two entries/],
  ['two entries of one name with //', changed(['blobs/a', ''], ['blobs/.//a', '']), /two entries/],
  [
    'an entry that never ends',
    changed(['endless', 'x', { size: 2 ** 50 }]),
    /ends before the end of its entry "endless"/,
  ],
  [
    'an extended header of megabytes',
    changed(['x', 'x'.repeat(1 << 20), { type: 'ExtendedHeader' }]),
    /extended header/,
  ],
  [
    'a blob that is longer than its descriptor',
    changed([blobFile('first')[0], 'first and more']),
    /has 14 bytes in the archive, its manifest says 5/,
  ],
  ['a blob with another digest', changed([blobFile('first')[0], 'FIRST']), /content's digest is sha256/],
  [
    'a manifest with another digest',
    changed([blobFile(image)[0], image.replace('2', '3')]),
    /manifest sha256:\w+ has the digest sha256/,
  ],
  [
    'a manifest of megabytes',
    changed(blobFile(' '.repeat(5 << 20)), indexFile(entryOf(' '.repeat(5 << 20)))),
    /at most 4194304 are accepted/,
  ],
  [
    'a manifest that is missing',
    archive.filter(([path]) => path !== blobFile(image)[0]),
    /manifest sha256:\w+ is missing in the archive/,
  ],
  [
    'a blob that is missing',
    archive.filter(([path]) => path !== blobFile('first')[0]),
    /references content unknown to the repository: \[\{"digest":"sha256/,
  ],
  [
    'one tag of two images',
    changed(blobFile('{"a":1}'), indexFile(entryOf(image), entryOf('{"a":1}'))),
    /acme\/app:v1 is two images/,
  ],
  [
    'an index with deep nesting',
    changed(['index.json', '['.repeat(100_000)]),
    /index.json: nested deeper than 64 levels/,
  ],
  ['an index that is no JSON', changed(['index.json', '{']), /index.json: not valid JSON/],
  ['indexes in indexes', nested(20), /nested in more than 16 other manifests/],
  [
    'a root that is not a manifest',
    changed(indexFile({ ...describe(layer, 'first'), annotations })),
    /manifest invalid/,
  ],
  [
    'a name that is not valid',
    changed(indexFile(entryOf(image, { annotations: { 'io.containerd.image.name': '../x' } }))),
    /image name "..\/x", which is not valid/,
  ],
  [
    'an unknown version of the layout',
    changed(['oci-layout', '{"imageLayoutVersion":"2.0.0"}']),
    /imageLayoutVersion/,
  ],
  ['an archive without images', [['readme', 'x']], /has no images/],
];

for (const [what, files, problem] of hostile) {
  test(`refuses ${what}`, async (t) => {
    const { load, run } = await registry(t);
    const { exitCode, out, err } = await load(files);
    assert.deepEqual([exitCode, out], [1, '']);
    assert.match(err, problem);
    assert.match(err, /^berth: [^\n]*\n$/);
    const tags = JSON.parse((await run('repo', 'list', '--json')).out).map(
      (one: { tags: number }) => one.tags,
    );
    assert.ok(
      tags.every((count: number) => count === 0),
      'no tag',
    );
  });
}

test('refuses an index of gigabytes without reading it', async (t) => {
  const { file, run } = await registry(t);
  const size = 3 * 2 ** 30;
  const header = tarOf([['index.json', '', { size }]]).subarray(0, 512);
  await using handle = await open(file, 'w');
  await handle.write(header, 0, 512, 0);
  await handle.truncate(512 + size + 1_024);
  assert.match(
    (await run('import', file)).err,
    /index.json has 3221225472 bytes; at most 67108864 are accepted/,
  );
});

test('refuses files that are no archive, and links in a directory', async (t) => {
  const { folder, file, run } = await registry(t);
  const refused = async (source: string) => (await run('import', source)).err;
  await writeFile(file, 'x'.repeat(2_000));
  assert.match(await refused(file), /is not a tar archive/);
  await writeFile(file, tarOf(archive).subarray(0, -1_024));
  assert.match(await refused(file), /is cut off/);
  await writeFile(file, gzipSync(tarOf(archive)).subarray(0, 100));
  assert.match(await refused(file), /is not valid gzip, or is cut off/);
  await rm(file);
  assert.match(await refused(file), /there is no such file or directory/);
  spawnSync('mkfifo', [file]);
  assert.match(await refused(file), /is neither a file nor a directory/);
  const directory = join(folder, 'layout');
  await mkdir(directory);
  await writeFile(join(directory, 'oci-layout'), layout[1]);
  await symlink('/etc/hostname', join(directory, 'index.json'));
  assert.match(await refused(directory), /index.json is not a regular file/);
  await rm(join(directory, 'index.json'));
  await writeFile(join(directory, 'index.json'), indexFile(entryOf(image))[1]);
  await symlink('/etc', join(directory, 'blobs'));
  assert.match(await refused(directory), /blobs is not a directory/);
});
