import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RegistryError } from './errors.ts';
import { type Manifest, parseManifest } from './manifest.ts';
import {
  dockerManifest,
  dockerManifestList,
  manifestMediaTypes,
  ociImageIndex,
  ociImageManifest,
} from './media-types.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const descriptor = { mediaType: 'application/octet-stream', digest, size: 1 };
const image = { schemaVersion: 2, mediaType: ociImageManifest, config: descriptor, layers: [descriptor] };
const index = { schemaVersion: 2, mediaType: ociImageIndex, manifests: [descriptor] };

/** Not `JSON.stringify` of the value alone: what matters is how a field is spelled. */
function parse(document: unknown, contentType?: string): Manifest {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  return parseManifest(Buffer.from(text), contentType);
}

/** The image with its one layer's descriptor written as given. */
function withLayer(fields: string): string {
  return `{"schemaVersion":2,"mediaType":"${ociImageManifest}","config":${JSON.stringify(descriptor)},"layers":[{${fields}}]}`;
}

test('an image is read: its config and layers are the blobs it needs', () => {
  const layer = { ...descriptor, digest: `sha512:${'b'.repeat(128)}`, size: 0 };
  const manifest = parse({ ...image, layers: [layer], annotations: { a: 'b' } });
  assert.deepEqual(manifest, {
    mediaType: ociImageManifest,
    kind: 'image',
    blobs: [descriptor, layer],
    children: [],
    subject: undefined,
    artifactType: descriptor.mediaType,
    annotations: { a: 'b' },
  });
});

test('an index is read: its manifests are children, whatever their type', () => {
  const manifest = parse({ ...index, subject: descriptor, artifactType: 'application/x' });
  assert.deepEqual(manifest.children, [descriptor]);
  assert.deepEqual(manifest.blobs, []);
  assert.deepEqual(manifest.subject, descriptor);
  assert.equal(manifest.artifactType, 'application/x');
  assert.equal(parse(index).artifactType, undefined, 'an index has no config to take its type from');
});

test('layers that need not be held are no blobs', () => {
  const foreign = [
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ].map((mediaType) => ({ ...descriptor, mediaType, urls: ['http://169.254.169.254/'] }));
  assert.deepEqual(parse({ ...image, layers: foreign }).blobs, [descriptor]);
});

test('fields nobody knows, also inside descriptors, are left alone', () => {
  const strange = { ...descriptor, data: 'e30=', platform: { os: 'linux' }, x: [1.5e300, -1, null] };
  assert.ok(parse({ ...image, layers: [strange], manifest: 1, LABELS: {}, x: { Layers: [] } }));
});

for (const [what, document] of [
  ['empty lists', { ...image, layers: [] }],
  ['lists that Go wrote as null', { ...image, layers: null }],
  ['no manifests, as Go writes them', { ...index, manifests: null }],
  ['optional fields that are null', { ...image, subject: null, artifactType: null, annotations: null }],
  ['descriptor fields that are null', { ...image, layers: [{ ...descriptor, urls: null, platform: null }] }],
  ['the list of an index that is null', { ...image, manifests: null }],
  ['the lists of an image that are null', { ...index, config: null, layers: null }],
] as const) {
  test(`a manifest with ${what} is accepted`, () => {
    const manifest = parse(document);
    assert.deepEqual([manifest.subject, manifest.annotations], [undefined, undefined]);
  });
}

// What Go's `encoding/json` reads alike, old images have in all three spellings.
for (const [how, fields] of [
  ['no type', { digest, size: 1 }],
  ['an empty type', { ...descriptor, mediaType: '' }],
  ['a type that is null', { ...descriptor, mediaType: null }],
] as const) {
  test(`a descriptor with ${how} is read as one without a type, wherever it stands`, () => {
    const untyped = { mediaType: '', digest, size: 1 };
    const { blobs, subject, artifactType } = parse({
      ...image,
      config: fields,
      layers: [fields],
      subject: fields,
    });
    assert.deepEqual([blobs, subject, artifactType], [[untyped, untyped], untyped, undefined]);
    assert.deepEqual(parse({ ...index, manifests: [fields] }).children, [untyped]);
  });
}

test('an annotation that is null is an empty text', () => {
  assert.deepEqual(parse({ ...image, annotations: { a: null, b: 'c' } }).annotations, { a: '', b: 'c' });
});

for (const mediaType of manifestMediaTypes) {
  test(`${mediaType} is told by the header, by the document, or by both alike`, () => {
    const { mediaType: _, ...document } = /index|list/.test(mediaType) ? index : image;
    assert.equal(parse(document, mediaType).mediaType, mediaType);
    assert.equal(parse({ ...document, mediaType }).mediaType, mediaType);
    assert.equal(parse({ ...document, mediaType: null }, mediaType).mediaType, mediaType);
    const spelled = `  ${mediaType.toUpperCase()} ; charset=utf-8`;
    assert.equal(parse({ ...document, mediaType }, spelled).mediaType, mediaType);
  });
}

const refused: [string, unknown, string?][] = [
  // C5: one document must not be both.
  ['an image that lists manifests', { ...image, manifests: [] }],
  ['an index with a config', { ...index, config: descriptor }],
  ['an index with layers', { ...index, layers: [] }],
  ['an image sent as an index', image, ociImageIndex],
  ['a Docker manifest sent as an OCI one', { ...image, mediaType: dockerManifest }, ociImageManifest],
  ['a list sent as an image', { ...index, mediaType: dockerManifestList }, dockerManifest],
  ['no type at all', { ...image, mediaType: undefined }],
  ['no type but an empty one', { ...image, mediaType: '' }, ' ;charset=utf-8'],
  ['a type that is no manifest', { ...image, mediaType: 'application/json' }],
  ['a type that is an inherited property', { ...image, mediaType: 'constructor' }],
  ['a type that is no text', { ...image, mediaType: 2 }],
  ['a type with a Chinese character', { ...image, mediaType: 'application/x\u4e2d' }],
  ['a type with a line break', { ...image, mediaType: `${ociImageManifest}\r\nX: y` }],
  ['a type of 10 kB', { ...image, mediaType: 'a'.repeat(10_000) }],
  [
    'Docker schema 1',
    { ...image, mediaType: undefined },
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  ],
  // C6: one document must not mean two things.
  ['no schemaVersion', { ...image, schemaVersion: undefined }],
  ['schemaVersion 1', { ...image, schemaVersion: 1 }],
  ['schemaVersion as text', { ...image, schemaVersion: '2' }],
  ['schemaVersion 2.5', { ...image, schemaVersion: 2.5 }],
  ['a field in another case', { ...image, Layers: [] }],
  ['a field with a long s', { ...image, layerſ: [] }],
  ['a field of a descriptor in another case', { ...image, config: { ...descriptor, Digest: digest } }],
  ['a field of a descriptor with a long s', { ...image, config: { ...descriptor, digeſt: digest } }],
  ['a field that stands twice', `{"schemaVersion":2,"schemaVersion":2}`],
  ['a field that stands twice, escaped', withLayer(`"mediaType":"a","\\u006dediaType":"b"`)],
  ['__proto__', '{"schemaVersion":2,"__proto__":{"config":{}}}'],
  // Shapes.
  ['a list for a document', []],
  ['null for a document', null],
  ['a number for a document', 1],
  ['a text for a document', '"x"'],
  ['no config', { ...image, config: undefined }],
  ['null for a config', { ...image, config: null }],
  ['a list for a config', { ...image, config: [] }],
  ['no layers', { ...image, layers: undefined }],
  ['an object for layers', { ...image, layers: { length: 0 } }],
  ['a null among the layers', { ...image, layers: [null] }],
  ['no manifests', { ...index, manifests: undefined }],
  ['a digest that is null', { ...image, config: { ...descriptor, digest: null } }],
  ['a schemaVersion that is null', { ...image, schemaVersion: null }],
  ['an artifact type with a NUL', { ...image, artifactType: 'a/\0' }],
  ['a config whose type has a NUL', { ...image, config: { ...descriptor, mediaType: 'a/\0' } }],
  ['a descriptor whose type is no text', { ...image, layers: [{ ...descriptor, mediaType: 1 }] }],
  ['an artifact type of 256 characters', { ...image, artifactType: 'a'.repeat(256) }],
  [
    'a config whose type has 256 characters',
    { ...image, config: { ...descriptor, mediaType: 'a'.repeat(256) } },
  ],
  ['a descriptor without a digest', { ...image, config: { mediaType: 'a', size: 1 } }],
  ['a malformed digest: a path', { ...image, config: { ...descriptor, digest: 'sha256:../../x' } }],
  [
    'a malformed digest: in upper case',
    { ...image, config: { ...descriptor, digest: digest.toUpperCase() } },
  ],
  ['a digest in a list', { ...image, config: { ...descriptor, digest: [digest] } }],
  ['a subject that is a text', { ...image, subject: digest }],
  ['an artifactType that is no text', { ...image, artifactType: {} }],
  ['annotations that are a list', { ...image, annotations: [] }],
  ['an annotation that is no text', { ...image, annotations: { a: 1 } }],
  ['10,001 layers', { ...image, layers: Array(10_001).fill(descriptor) }],
];

for (const [what, document, contentType] of refused) {
  const code = what.startsWith('a malformed digest') ? 'DIGEST_INVALID' : 'MANIFEST_INVALID';
  test(`${what} is ${code}`, () => {
    assert.throws(
      () => parse(document, contentType),
      (error) => error instanceof RegistryError && error.code === code && typeof error.detail === 'string',
    );
  });
}

for (const size of [
  '-1',
  '1.5',
  '"1"',
  'null',
  'true',
  '9007199254740992',
  '9223372036854775807',
  '1e300',
  '[1]',
]) {
  test(`the size ${size} is MANIFEST_INVALID`, () => {
    const layer = withLayer(`"mediaType":"a","digest":"${digest}","size":${size}`);
    assert.throws(() => parse(layer), { code: 'MANIFEST_INVALID', detail: /size/ });
  });
}

for (const [text, size] of [
  ['0', 0],
  ['-0', -0],
  ['1e3', 1000],
  ['9007199254740991', 2 ** 53 - 1],
] as const) {
  test(`the size ${text} is ${size} bytes`, () => {
    assert.equal(
      parse(withLayer(`"mediaType":"a","digest":"${digest}","size":${text}`)).blobs[1]?.size,
      size,
    );
  });
}

test('10,000 layers are read without holding up the others', () => {
  const bytes = Buffer.from(JSON.stringify({ ...image, layers: Array(10_000).fill(descriptor) }));
  const start = performance.now();
  assert.equal(parseManifest(bytes, undefined).blobs.length, 10_001);
  assert.ok(performance.now() - start < 500);
});

test('whatever is put in the place of one field, the answer is a manifest or what is wrong with it', () => {
  const field = fc.constantFrom(
    ...[
      'schemaVersion',
      'mediaType',
      'artifactType',
      'config',
      'layers',
      'manifests',
      'subject',
      'annotations',
    ],
  );
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(descriptor, [descriptor], ociImageIndex, dockerManifest),
    fc.record(
      { mediaType: fc.jsonValue(), digest: fc.jsonValue(), size: fc.jsonValue() },
      { requiredKeys: [] },
    ),
  );
  const contentType = fc.option(fc.oneof(fc.string(), fc.constantFrom(...manifestMediaTypes)), {
    nil: undefined,
  });
  fc.assert(
    fc.property(fc.constantFrom(image, index), field, value, contentType, (document, name, put, type) => {
      try {
        const manifest = parse({ ...document, [name]: put }, type);
        assert.ok(manifestMediaTypes.includes(manifest.mediaType));
        assert.equal(manifest.kind === 'index', manifest.blobs.length === 0 && !('config' in document));
      } catch (error) {
        const codes = ['MANIFEST_INVALID', 'DIGEST_INVALID'];
        assert.ok(error instanceof RegistryError && codes.includes(error.code), String(error));
      }
    }),
    { numRuns: 3_000 },
  );
});
