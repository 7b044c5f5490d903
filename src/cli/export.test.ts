import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type BackendName, backendNames, whyNoBackend } from '../../test/support/backend-names.ts';
import { openBackend } from '../../test/support/backends.ts';
import { berth } from '../../test/support/berth.ts';
import { Client, indexOf, ociIndex, ociManifest, refer, unknownDigest } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

/** A registry, a client of it, and the command line beside it. */
async function open(t: TestContext, backend: BackendName = 'SQLite and files') {
  const { settings } = await openBackend(t, backend);
  const { app, data } = await testRegistry(t, settings);
  const file = join(data, 'berth.yaml');
  await writeFile(file, JSON.stringify({ data, ...settings }));
  return {
    client: new Client(app.http),
    data,
    run: (...args: string[]) => berth(...args, '--config', file),
  };
}

interface Index {
  readonly manifests: readonly {
    readonly digest: string;
    readonly artifactType?: string;
    readonly annotations: Record<string, string>;
  }[];
}

const readIndex = async (layout: string): Promise<Index> =>
  JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));

/** Pushes two repositories with an index, a sha512 image, a signature, an attestation of it, and a tag of cosign. */
async function fill(client: Client) {
  const children = [await client.pushImage('acme/app'), await client.pushImage('acme/app')];
  const cache = await client.pushContent('acme/app');
  const index = await client.pushManifest(
    'acme/app',
    indexOf([...children.map((one) => refer(one)), cache]),
    'v1',
  );
  const signature = await client.pushImage('acme/app', undefined, {
    subject: refer(index),
    artifactType: 'application/vnd.example.signature',
  });
  const attestation = await client.pushImage('acme/app', undefined, { subject: refer(signature) });
  const child = await client.pushImage('acme/app', undefined, { subject: refer(children[0]!) });
  const cosign = await client.pushImage('acme/app', `${index.digest.replace(':', '-')}.sig`);
  await client.pushManifest('acme/base.example/x', await client.image('acme/base.example/x'), 'latest');
  const other = await client.image('acme/base.example/x', {}, 'sha512');
  const long = await client.pushManifest('acme/base.example/x', other, undefined, 'sha512');
  return { index, children, signature, attestation, child, cosign, long };
}

for (const backend of backendNames) {
  test(`an export and its import give the same registry: ${backend}`, async (t) => {
    const missing = whyNoBackend(backend);
    if (missing !== undefined) return t.skip(missing);
    const [from, to] = [await open(t, backend), await open(t, backend)];
    const { long } = await fill(from.client);
    const images = ['acme/app', 'acme/base.example/x', `acme/base.example/x@${long.digest}`];
    const folder = await temporaryDirectory(t);
    const [tar, again, layout] = [join(folder, 'a.tar'), join(folder, 'b.tar'), join(folder, 'layout')];

    const written = await from.run('export', ...images, tar, '--json');
    assert.equal(written.exitCode, 0, written.err);
    const { bytes, ...counts } = JSON.parse(written.out);
    assert.ok(bytes > 0);
    assert.deepEqual(counts, { target: tar, repositories: 2, tags: 3, manifests: 9, blobs: 17, missing: 0 });
    const read = await to.run('import', tar, '--json');
    assert.equal(read.exitCode, 0, read.err);
    assert.deepEqual(
      JSON.parse(read.out).map(({ bytes: _, ...row }: { bytes: number }) => row),
      [
        { name: 'acme/app', tags: 2, manifests: 7, blobs: 13 },
        { name: 'acme/base.example/x', tags: 1, manifests: 2, blobs: 4 },
      ],
    );

    assert.equal((await from.run('export', ...images, layout)).exitCode, 0);
    for (const { digest, annotations } of (await readIndex(layout)).manifests) {
      const name = annotations['io.containerd.image.name']!.match(/^localhost\/(.*?)[:@]/)![1]!;
      const tag = annotations['org.opencontainers.image.ref.name'];
      const url = `/v2/${name}/manifests/${tag ?? digest}`;
      const headers = { accept: `${ociManifest}, ${ociIndex}` };
      const [source, copy] = [await from.client.get(url, headers), await to.client.get(url, headers)];
      assert.deepEqual([copy.status, copy.body], [200, source.body], url);
      const referrers = (client: Client) => client.referrers(name, digest);
      assert.deepEqual(await referrers(to.client), await referrers(from.client));
    }
    for (const algorithm of ['sha256', 'sha512']) {
      for (const hex of await readdir(join(layout, 'blobs', algorithm))) {
        const file = await readFile(join(layout, 'blobs', algorithm, hex));
        const found: boolean[] = [];
        for (const name of ['acme/app', 'acme/base.example/x']) {
          for (const kind of ['blobs', 'manifests']) {
            const { status, body } = await to.client.get(`/v2/${name}/${kind}/${algorithm}:${hex}`);
            found.push(status === 200 && body.equals(file));
          }
        }
        assert.equal(found.filter(Boolean).length, 1, hex);
      }
    }

    assert.equal((await to.run('export', ...images, again)).exitCode, 0);
    assert.ok((await readFile(again)).equals(await readFile(tar)), 'the same archive');
    const repeated = await to.run('import', layout, '--json');
    for (const { name: _, ...added } of JSON.parse(repeated.out)) {
      assert.deepEqual(added, { tags: 0, manifests: 0, blobs: 0, bytes: 0 });
    }
  });
}

test('an exported tag has its children and all referrers, and with --no-referrers none', async (t) => {
  const { client, run } = await open(t);
  const { index, signature, attestation, child, cosign } = await fill(client);
  const folder = await temporaryDirectory(t);
  const [all, none] = [join(folder, 'all'), join(folder, 'none')];
  assert.equal((await run('export', 'acme/app:v1', all)).exitCode, 0);
  const { manifests } = await readIndex(all);
  assert.deepEqual(
    new Set(manifests.map(({ digest }) => digest)),
    new Set([index, signature, attestation, child, cosign].map(({ digest }) => digest)),
  );
  assert.equal(
    manifests.find(({ digest }) => digest === signature.digest)?.artifactType,
    'application/vnd.example.signature',
  );
  const { exitCode, out } = await run('export', 'acme/app:v1', none, '--no-referrers', '--json');
  assert.equal(exitCode, 0);
  assert.deepEqual([JSON.parse(out).manifests, JSON.parse(out).tags], [3, 1]);
  assert.deepEqual(
    (await readIndex(none)).manifests.map(({ digest }) => digest),
    [index.digest],
  );
});

test('warns of children that the registry does not have, and the import leaves them out too', async (t) => {
  const { client, run } = await open(t);
  const child = await client.pushImage('acme/app');
  const absent = { mediaType: ociManifest, digest: unknownDigest, size: 100 };
  const index = await client.pushManifest('acme/app', indexOf([refer(child), absent]), 'v1');
  const tar = join(await temporaryDirectory(t), 'a.tar');
  const { exitCode, err, out } = await run('export', 'acme/app', tar, '--json');
  assert.deepEqual([exitCode, JSON.parse(out).missing], [0, 1]);
  assert.equal(
    err,
    'berth: images reference content that the registry does not have (manifests.missingReferences): 1\n',
  );
  assert.equal((await run('import', tar, '--to', 'acme/copy')).exitCode, 0);
  assert.deepEqual((await client.get('/v2/acme/copy/manifests/v1')).body, index.bytes);
});

test('refuses an existing target, and with --force replaces only an archive or a layout', async (t) => {
  const { client, run } = await open(t);
  await client.pushImage('acme/app', 'v1');
  const folder = await temporaryDirectory(t);
  const [tar, layout, other] = [join(folder, 'a.tar'), join(folder, 'layout'), join(folder, 'other')];
  await mkdir(layout);
  for (const target of [tar, layout]) {
    assert.equal((await run('export', 'acme/app', target)).exitCode, 0, 'a new file or an empty directory');
    const refused = await run('export', 'acme/app', target);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.err, /(exists|is not empty); --force replaces it/);
    assert.equal((await run('export', 'acme/app', target, '--force')).exitCode, 0);
  }
  await mkdir(other);
  await writeFile(join(other, 'precious'), '');
  assert.match((await run('export', 'acme/app', other, '--force')).err, /is not an OCI image layout/);
  assert.deepEqual(await readdir(other), ['precious']);
  assert.deepEqual((await readdir(folder)).sort(), ['a.tar', 'layout', 'other']);
});

test('leaves nothing behind if an image is unknown, or a blob is damaged or gone', async (t) => {
  const { client, run, data } = await open(t);
  const { bytes } = await client.pushImage('acme/app', 'v1');
  const folder = await temporaryDirectory(t);
  for (const [image, problem] of [
    ['acme/none', /there is no repository acme\/none/],
    ['acme/app:v2', /acme\/app has no tag or digest v2/],
  ] as const) {
    for (const target of ['a.tar', 'layout']) {
      const { exitCode, err } = await run('export', image, join(folder, target));
      assert.equal(exitCode, 1);
      assert.match(err, problem);
    }
  }
  const [layer] = JSON.parse(bytes.toString()).layers;
  const hex = layer.digest.slice(7);
  const blob = join(data, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
  await writeFile(blob, Buffer.alloc(layer.size));
  const { exitCode, err } = await run('export', 'acme/app', join(folder, 'a.tar'));
  assert.equal(exitCode, 1);
  assert.match(err, /blob sha256:.* is damaged: its bytes have the digest sha256:/);
  await rm(blob);
  const gone = await run('export', 'acme/app', join(folder, 'a.tar'));
  assert.match(gone.err, /^berth: sha256:.* should have 64 bytes, the store has none; see `berth fsck`\n$/);
  assert.deepEqual(await readdir(folder), []);
});

test('refuses wrong arguments before it opens the registry', async () => {
  for (const args of [
    ['acme/app'],
    ['acme/app@sha256:12', 'a.tar'],
    ['acme/app:-', 'a.tar'],
    ['acme/app', 'a.tar.gz'],
  ]) {
    const { exitCode, err } = await berth('export', ...args, '--data', '/nowhere');
    assert.equal(exitCode, 2);
    assert.match(err, /^error: .*\n$/);
  }
});
