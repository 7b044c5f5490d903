// end-7a: the documents that are accepted as manifests. C5–C8, C10 and C13 of the hostile input.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  assertError,
  connect,
  type Descriptor,
  type Document,
  describe,
  digestOf,
  dockerManifest,
  dockerManifestList,
  emptyJson,
  imageOf,
  indexOf,
  ociConfig,
  ociIndex,
  ociLayer,
  ociManifest,
  refer,
  serialize,
} from '../../test/support/inject.ts';

const config = describe('{}', emptyJson);
const layer = describe('a layer', ociLayer);

/** An image of the two blobs that every test below pushes first, as text that the test may corrupt. */
function image(fields: Document = {}): string {
  return JSON.stringify(imageOf(config, [layer], fields));
}

async function connectWithBlobs(t: Parameters<typeof connect>[0]) {
  const registry = await connect(t);
  await registry.pushBlob('a', '{}');
  await registry.pushBlob('a', 'a layer');
  return registry;
}

test('end-7a: invalid manifests are 400 MANIFEST_INVALID', async (t) => {
  const registry = await connectWithBlobs(t);
  const rows: [what: string, body: string | Buffer, contentType?: string][] = [
    ['no body', ''],
    ['not JSON', 'manifest'],
    ['JSON with text after it', `${image()}}`],
    ['two documents', `${image()}\n${image()}`],
    ['half a document', image().slice(0, -5)],
    ['null', 'null'],
    ['a list', `[${image()}]`],
    ['text', '"manifest"'],
    ['a number', '2'],
    [
      'invalid UTF-8',
      Buffer.concat([Buffer.from(image().slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')]),
    ],
    ['a byte order mark', `\ufeff${image()}`],
    ['UTF-16', Buffer.from(image(), 'utf16le')],
    ['no schemaVersion', image({ schemaVersion: undefined })],
    ['schemaVersion 1', image({ schemaVersion: 1 })],
    ['schemaVersion "2"', image({ schemaVersion: '2' })],
    ['schemaVersion 3', image({ schemaVersion: 3 })],
    ['mediaType of another kind', image(), ociIndex],
    ['mediaType of another family', image(), dockerManifest],
    ['a mediaType that is no string', image({ mediaType: 5 })],
    ['an unknown type', image({ mediaType: 'application/vnd.example+json' }), 'application/vnd.example+json'],
    ['plain JSON', image({ mediaType: 'application/json' }), 'application/json'],
    ['a type with a line break', image({ mediaType: 'application/x\r\nset-cookie: a' }), ociManifest],
    ['a type beyond Latin-1', image({ mediaType: 'application/x\u4e2d' }), ociManifest],
    ['a type of 10 kB', image({ mediaType: `application/${'x'.repeat(10_000)}` }), ociManifest],
    ['Docker schema 1', '{"schemaVersion":1}', 'application/vnd.docker.distribution.manifest.v1+json'],
    [
      'Docker schema 1, signed',
      '{"schemaVersion":1}',
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
    ],
    ['an image without config', image({ config: undefined })],
    ['a config of null', image({ config: null })],
    ['a config that is a list', image({ config: [config] })],
    ['an image without layers', image({ layers: undefined })],
    ['layers that are no array', image({ layers: layer })],
    ['an index without manifests', JSON.stringify({ schemaVersion: 2, mediaType: ociIndex })],
    ['a layer of null', image({ layers: [null] })],
    ['a layer whose type is no string', image({ layers: [{ ...layer, mediaType: 5 }] })],
    ['a layer without size', image({ layers: [{ ...layer, size: undefined }] })],
    ['a negative size', image({ layers: [{ ...layer, size: -1 }] })],
    ['half a byte', image({ layers: [{ ...layer, size: 0.5 }] })],
    ['a size as text', image({ layers: [{ ...layer, size: '7' }] })],
    ['a size that loses precision', image().replace('"size":7', '"size":9223372036854775807')],
    ['a subject that is no descriptor', image({ subject: 'sha256:abc' })],
    ['annotations that are no strings', image({ annotations: { a: 1 } })],
    ['annotations that are a list', image({ annotations: ['a'] })],
    ['an artifactType that is no string', image({ artifactType: {} })],
    ['an image that is also an index', image({ manifests: [] })],
    ['an index that has layers', JSON.stringify(indexOf([], { layers: [] }))],
    ['an index that has a config', JSON.stringify(indexOf([], { config }))],
    [
      'Docker’s image that is also a list',
      image({ mediaType: dockerManifest, manifests: [] }),
      dockerManifest,
    ],
    [
      'Docker’s list that has layers',
      JSON.stringify(indexOf([], { mediaType: dockerManifestList, layers: [] })),
      dockerManifestList,
    ],
    ['a key twice', image().replace('"layers"', '"layers":[],"layers"')],
    ['a key twice, once escaped', image().replace('"layers"', '"l\\u0061yers":[],"layers"')],
    ['a key twice, deep inside', image({ x: [{ y: 1 }] }).replace('"y":1', '"y":1,"y":2')],
    ['a key in another case', image().replace('"layers"', '"Layers"')],
    ['a key in two cases', image().replace('"layers"', '"LAYERS":[],"layers"')],
    ['__proto__', image().replace('"layers"', '"__proto__":{},"layers"')],
    ['__proto__ in annotations', image({ annotations: { a: 'b' } }).replace('"a":"b"', '"__proto__":"b"')],
    ['4 MiB of [', '['.repeat(4 * 1024 * 1024)],
    ['100,000 levels', `${image().slice(0, -1)},"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    [
      '10,000 levels of objects',
      `${image().slice(0, -1)},"x":${'{"x":'.repeat(10_000)}1${'}'.repeat(10_000)}}`,
    ],
  ];
  for (const [what, body, contentType] of rows) {
    await t.test(what, async () => {
      const headers = {
        'content-type': contentType ?? (String(body).includes(ociIndex) ? ociIndex : ociManifest),
      };
      assertError(await registry.putManifest('a', 'v1', body as Buffer, headers), 400, 'MANIFEST_INVALID');
      assert.equal((await registry.head('/v2/a/manifests/v1')).status, 404);
    });
  }
});

test('the error for Docker schema 1 says what to do', async (t) => {
  const registry = await connect(t);
  const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
  const answer = await registry.putManifest('a', 'v1', '{"schemaVersion":1,"signatures":[]}', {
    'content-type': type,
  });
  assert.match(answer.body.toString(), /schema 1/);
});

test('C13: a Content-Type that is invalid in a header is refused at PUT', async (t) => {
  const registry = await connectWithBlobs(t);
  for (const type of ['application/x\u4e2d', `application/${'x'.repeat(10_000)}`, 'application/x\u0000']) {
    const answer = await registry.putManifest('a', 'v1', image({ mediaType: type }), {
      'content-type': type,
    });
    assertError(answer, 400, 'MANIFEST_INVALID');
  }
});

test('C2: a descriptor with an invalid digest is 400 DIGEST_INVALID', async (t) => {
  const registry = await connectWithBlobs(t);
  const { digest } = layer;
  const digests: unknown[] = [
    'sha256:../../x',
    digest.slice(0, -1),
    `${digest}0`,
    digest.toUpperCase(),
    digest.replace('sha256', 'sha512'),
    `md5:${'0'.repeat(32)}`,
    `${digest}/..`,
    ` ${digest}`,
    '',
  ];
  for (const one of digests) {
    for (const document of [
      imageOf(config, [{ ...layer, digest: one } as Descriptor]),
      imageOf({ ...config, digest: one } as Descriptor, [layer]),
      imageOf(config, [layer], { subject: { ...layer, digest: one } }),
      indexOf([{ ...layer, mediaType: ociManifest, digest: one } as Descriptor]),
    ]) {
      assertError(await registry.putManifest('a', 'v1', document), 400, 'DIGEST_INVALID');
    }
  }
});

test('end-7a: accepts what the spec does not forbid', async (t) => {
  const registry = await connectWithBlobs(t);
  const child = refer(await registry.pushManifest('a', imageOf(config, [layer])));
  const nested = refer(await registry.pushManifest('a', indexOf([child])));
  const zero = await registry.pushContent('a', '');
  const rows: [what: string, document: Document | string][] = [
    ['no layers', imageOf(config, [])],
    ['an empty index', indexOf([])],
    ['an index of indexes', indexOf([nested, child])],
    ['the same child twice', indexOf([child, child])],
    ['C10: the same layer twice', imageOf(config, [layer, layer])],
    ['the config as a layer', imageOf(config, [config])],
    ['a zero-byte layer', imageOf(config, [zero])],
    ['a layer without type', imageOf(config, [{ ...layer, mediaType: undefined } as unknown as Descriptor])],
    ['a config whose type is empty', imageOf({ ...config, mediaType: '' }, [layer])],
    ['a child without type', indexOf([{ ...child, mediaType: undefined } as unknown as Descriptor])],
    ['`manifests` of null in an image', imageOf(config, [layer], { manifests: null })],
    ['`config` and `layers` of null in an index', indexOf([child], { config: null, layers: null })],
    ['an annotation of null', imageOf(config, [layer], { annotations: { a: null } })],
    ['an artifact', imageOf(config, [layer], { artifactType: 'application/vnd.example' })],
    ['an artifact index', indexOf([child], { artifactType: 'application/vnd.example' })],
    ['a helm chart', imageOf({ ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' }, [layer])],
    [
      'a BuildKit cache',
      imageOf({ ...config, mediaType: 'application/vnd.buildkit.cacheconfig.v0' }, [layer]),
    ],
    ['a layer of any type', imageOf(config, [{ ...layer, mediaType: 'application/wasm' }])],
    ['`data` in descriptors', imageOf({ ...config, data: 'e30=' }, [{ ...layer, data: 'YSBsYXllcg==' }])],
    [
      'unknown fields',
      imageOf({ ...config, x: 1 }, [{ ...layer, x: [] }], { 'org.example': { a: null }, 'x.y': 1.5e300 }),
    ],
    [
      'annotations in other languages',
      imageOf(config, [layer], { annotations: { 图: '😀\u0000\r\n', constructor: '' } }),
    ],
    ['annotations of null', imageOf(config, [layer], { annotations: null })],
    ['platform', indexOf([{ ...child, platform: { os: 'unknown', architecture: 'unknown' } }])],
    ['urls', imageOf(config, [{ ...layer, urls: ['http://169.254.169.254/'] }])],
    ['60 levels inside an unknown field', image().replace('{', `{"x":${'['.repeat(60)}${']'.repeat(60)},`)],
  ];
  for (const [what, document] of rows) {
    await t.test(what, async () => {
      const bytes = typeof document === 'string' ? Buffer.from(document) : serialize(document);
      const put = await registry.putManifest('a', 'v1', bytes);
      assert.equal(put.status, 201, put.body.toString());
      assert.deepEqual((await registry.get('/v2/a/manifests/v1')).body, bytes);
    });
  }
});

test('C8: a manifest with too many references is refused fast', async (t) => {
  const registry = await connectWithBlobs(t);
  const many = imageOf(config, []);
  many.layers = Array.from({ length: 20_000 }, (_, i) => describe(String(i), ociLayer, digestOf(String(i))));
  const started = performance.now();
  const answer = await registry.putManifest('a', 'v1', many);
  assert.ok(answer.status === 400 || answer.status === 413, `answered ${answer.status}`);
  assert.ok(performance.now() - started < 2000, 'took longer than two seconds');
});

test('the content of an image config is not checked', async (t) => {
  const registry = await connectWithBlobs(t);
  const odd = await registry.pushContent('a', 'not even JSON', ociConfig);
  await registry.pushManifest('a', imageOf(odd, [layer]), 'v1');
});
