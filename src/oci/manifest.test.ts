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

/** Parses a value, or a string as the JSON itself where the spelling matters. */
function parse(document: unknown, contentType?: string): Manifest {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  return parseManifest(Buffer.from(text), contentType);
}

/** The image with `fields` as the JSON of its only layer's descriptor. */
function withLayer(fields: string): string {
  return `{"schemaVersion":2,"mediaType":"${ociImageManifest}","config":${JSON.stringify(descriptor)},"layers":[{${fields}}]}`;
}

test('the blobs of an image are its config and layers', () => {
  const layer = { ...descriptor, digest: `sha512:${'b'.repeat(128)}`, size: 0 };
  const manifest = parse({ ...image, layers: [layer], annotations: { a: 'b' } });
  assert.deepEqual(manifest, {
    mediaType: ociImageManifest,
    kind: 'image',
    config: descriptor,
    layers: [layer],
    blobs: [descriptor, layer],
    children: [],
    subject: undefined,
    artifactType: descriptor.mediaType,
    annotations: { a: 'b' },
  });
});

test('the children of an index are its manifests, of any type', () => {
  const manifest = parse({ ...index, subject: descriptor, artifactType: 'application/x' });
  assert.deepEqual(manifest.children, [descriptor]);
  assert.deepEqual(manifest.blobs, []);
  assert.deepEqual(manifest.subject, descriptor);
  assert.equal(manifest.artifactType, 'application/x');
  assert.equal(parse(index).artifactType, undefined, 'an index has no config whose type could be used');
});

test('the platform of a child has the operating system, the architecture and the variant', () => {
  const platforms: [unknown, string | undefined][] = [
    [{ os: 'linux', architecture: 'amd64', 'os.version': '1' }, 'linux/amd64'],
    [{ os: 'linux', architecture: 'arm', variant: 'v7' }, 'linux/arm/v7'],
    [{ os: 'linux', architecture: 'amd64', variant: '' }, 'linux/amd64'],
    [{ os: 'linux' }, undefined],
    [{ os: 'linux', architecture: 'a\n' }, undefined],
    [{ os: 'linux', architecture: 'amd64', variant: 7 }, undefined],
    [[], undefined],
    ['linux', undefined],
    [null, undefined],
  ];
  const manifests = platforms.map(([platform]) => ({ ...descriptor, platform }));
  assert.deepEqual(
    parse({ ...index, manifests }).children.map(({ platform }) => platform),
    platforms.map(([, printed]) => printed),
  );
});

test('non-distributable layers are not in blobs', () => {
  const foreign = [
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ].map((mediaType) => ({ ...descriptor, mediaType, urls: ['http://169.254.169.254/'] }));
  const { blobs, layers } = parse({ ...image, layers: foreign });
  assert.deepEqual(blobs, [descriptor]);
  assert.deepEqual(
    layers.map(({ mediaType }) => mediaType),
    foreign.map(({ mediaType }) => mediaType),
  );
});

test('ignores unknown fields, also in descriptors', () => {
  const strange = { ...descriptor, data: 'e30=', platform: { os: 'linux' }, x: [1.5e300, -1, null] };
  assert.ok(parse({ ...image, layers: [strange], manifest: 1, LABELS: {}, x: { Layers: [] } }));
});

for (const [what, document] of [
  ['empty lists', { ...image, layers: [] }],
  ['null as its layers, as Go writes an empty list', { ...image, layers: null }],
  ['null as its manifests, as Go writes an empty list', { ...index, manifests: null }],
  ['null optional fields', { ...image, subject: null, artifactType: null, annotations: null }],
  ['null descriptor fields', { ...image, layers: [{ ...descriptor, urls: null, platform: null }] }],
  ['a null index field in an image', { ...image, manifests: null }],
  ['null image fields in an index', { ...index, config: null, layers: null }],
] as const) {
  test(`a manifest with ${what} is accepted`, () => {
    const manifest = parse(document);
    assert.deepEqual([manifest.subject, manifest.annotations], [undefined, undefined]);
  });
}

// Old images have all three spellings, and Go's `encoding/json` reads them in the same way.
for (const [how, fields] of [
  ['no type', { digest, size: 1 }],
  ['an empty type', { ...descriptor, mediaType: '' }],
  ['a null type', { ...descriptor, mediaType: null }],
] as const) {
  test(`a descriptor with ${how} has the empty media type in every field`, () => {
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

test('a null annotation is an empty string', () => {
  assert.deepEqual(parse({ ...image, annotations: { a: null, b: 'c' } }).annotations, { a: '', b: 'c' });
});

for (const mediaType of manifestMediaTypes) {
  test(`${mediaType} is read from the header, the document, or both`, () => {
    const { mediaType: _, ...document } = /index|list/.test(mediaType) ? index : image;
    assert.equal(parse(document, mediaType).mediaType, mediaType);
    assert.equal(parse({ ...document, mediaType }).mediaType, mediaType);
    assert.equal(parse({ ...document, mediaType: null }, mediaType).mediaType, mediaType);
    const spelled = `  ${mediaType.toUpperCase()} ; charset=utf-8`;
    assert.equal(parse({ ...document, mediaType }, spelled).mediaType, mediaType);
  });
}

const refused: [string, unknown, string?][] = [
  // No document may be both an image and an index.
  ['an image that lists manifests', { ...image, manifests: [] }],
  ['an index with a config', { ...index, config: descriptor }],
  ['an index with layers', { ...index, layers: [] }],
  ['an image sent as an index', image, ociImageIndex],
  ['a Docker manifest sent as an OCI one', { ...image, mediaType: dockerManifest }, ociImageManifest],
  ['a list sent as an image', { ...index, mediaType: dockerManifestList }, dockerManifest],
  ['no type at all', { ...image, mediaType: undefined }],
  ['only an empty type', { ...image, mediaType: '' }, ' ;charset=utf-8'],
  ['a type of no manifest', { ...image, mediaType: 'application/json' }],
  ['an inherited property as a type', { ...image, mediaType: 'constructor' }],
  ['a number as a type', { ...image, mediaType: 2 }],
  ['a type with a Chinese character', { ...image, mediaType: 'application/x\u4e2d' }],
  ['a type with a line break', { ...image, mediaType: `${ociImageManifest}\r\nX: y` }],
  ['a type of 10 kB', { ...image, mediaType: 'a'.repeat(10_000) }],
  [
    'Docker schema 1',
    { ...image, mediaType: undefined },
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  ],
  // No document may have two meanings.
  ['no schemaVersion', { ...image, schemaVersion: undefined }],
  ['schemaVersion 1', { ...image, schemaVersion: 1 }],
  ['schemaVersion as text', { ...image, schemaVersion: '2' }],
  ['schemaVersion 2.5', { ...image, schemaVersion: 2.5 }],
  ['a field in another case', { ...image, Layers: [] }],
  ['a field with a long s', { ...image, layerſ: [] }],
  ['a field of a descriptor in another case', { ...image, config: { ...descriptor, Digest: digest } }],
  ['a field of a descriptor with a long s', { ...image, config: { ...descriptor, digeſt: digest } }],
  ['a duplicate field', `{"schemaVersion":2,"schemaVersion":2}`],
  ['a duplicate field, escaped', withLayer(`"mediaType":"a","\\u006dediaType":"b"`)],
  ['__proto__', '{"schemaVersion":2,"__proto__":{"config":{}}}'],
  // Fields that are missing or have a wrong type.
  ['a list as the document', []],
  ['null as the document', null],
  ['a number as the document', 1],
  ['a string as the document', '"x"'],
  ['no config', { ...image, config: undefined }],
  ['null as the config', { ...image, config: null }],
  ['a list as the config', { ...image, config: [] }],
  ['no layers', { ...image, layers: undefined }],
  ['an object as layers', { ...image, layers: { length: 0 } }],
  ['a null among the layers', { ...image, layers: [null] }],
  ['no manifests', { ...index, manifests: undefined }],
  ['a null digest', { ...image, config: { ...descriptor, digest: null } }],
  ['a null schemaVersion', { ...image, schemaVersion: null }],
  ['an artifact type with a NUL', { ...image, artifactType: 'a/\0' }],
  ['a config whose type has a NUL', { ...image, config: { ...descriptor, mediaType: 'a/\0' } }],
  ['a descriptor whose type is a number', { ...image, layers: [{ ...descriptor, mediaType: 1 }] }],
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
  ['a subject that is a string', { ...image, subject: digest }],
  ['an artifactType that is an object', { ...image, artifactType: {} }],
  ['annotations that are a list', { ...image, annotations: [] }],
  ['an annotation that is a number', { ...image, annotations: { a: 1 } }],
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
  test(`the size ${text} is read as ${size} bytes`, () => {
    assert.equal(
      parse(withLayer(`"mediaType":"a","digest":"${digest}","size":${text}`)).blobs[1]?.size,
      size,
    );
  });
}

test('parses 10,000 layers within 500 ms', () => {
  const bytes = Buffer.from(JSON.stringify({ ...image, layers: Array(10_000).fill(descriptor) }));
  const start = performance.now();
  assert.equal(parseManifest(bytes, undefined).blobs.length, 10_001);
  assert.ok(performance.now() - start < 500);
});

test('any value in place of one field gives a manifest or a RegistryError', () => {
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
