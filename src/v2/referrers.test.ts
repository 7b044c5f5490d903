// end-12: referrers of a manifest.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Answer,
  assertError,
  type Client,
  connect,
  type Descriptor,
  type Document,
  emptyJson,
  imageOf,
  indexOf,
  ociConfig,
  ociIndex,
  ociManifest,
  type Pushed,
  refer,
  unknownDigest,
  unknownSha512,
} from '../../test/support/inject.ts';

const sbom = 'application/vnd.example.sbom.v1+json';
const signature = 'application/vnd.example.signature';

/** Pushes an artifact that refers to `subject`; `note` makes it unique. */
async function refersTo(
  registry: Client,
  subject: Descriptor,
  note: string,
  fields: Document = {},
  tag?: string,
): Promise<Pushed> {
  const empty = await registry.pushContent('a', '{}', emptyJson);
  return registry.pushManifest(
    'a',
    imageOf(empty, [empty], { subject, annotations: { note }, ...fields }),
    tag,
  );
}

function manifestsOf(answer: Answer): Descriptor[] {
  return answer.json<{ manifests: Descriptor[] }>().manifests;
}

function digests(items: readonly { digest: string }[]): string[] {
  return items.map(({ digest }) => digest).sort();
}

test('end-12: no referrers is an empty index, never 404', async (t) => {
  const registry = await connect(t);
  const image = await registry.pushImage('a', 'v1');
  for (const path of [
    `/v2/a/referrers/${image.digest}`,
    `/v2/a/referrers/${unknownDigest}`,
    `/v2/a/referrers/${unknownSha512}`,
    `/v2/nobody/here/referrers/${unknownDigest}`,
  ]) {
    const answer = await registry.get(path);
    assert.equal(answer.status, 200);
    // go-containerregistry compares the string.
    assert.equal(answer.headers['content-type'], ociIndex);
    assert.equal(answer.headers.link, undefined);
    assert.equal(answer.headers['oci-filters-applied'], undefined);
    assert.deepEqual(answer.json(), { schemaVersion: 2, mediaType: ociIndex, manifests: [] });
  }
});

test('end-12: an invalid digest is 400', async (t) => {
  const registry = await connect(t);
  for (const digest of [
    'latest',
    'sha256:abc',
    unknownDigest.toUpperCase(),
    `md5:${'0'.repeat(32)}`,
    'sha256:..%2f..%2fx',
  ]) {
    assertError(await registry.get(`/v2/a/referrers/${digest}`), 400, 'DIGEST_INVALID');
  }
});

test('end-12: the descriptor of each kind of referrer', async (t) => {
  const registry = await connect(t);
  for (const subject of [
    refer(await registry.pushImage('a')),
    { mediaType: ociManifest, digest: unknownSha512, size: 1 },
  ]) {
    const config = await registry.pushContent('a', '{"os":"linux"}', ociConfig);
    const annotations = { 'org.example.a': 'b', '☕': '"quoted"' };
    const rows: [document: Document, artifactType: string | undefined, annotations: Document | undefined][] =
      [
        [imageOf(config, [], { subject, artifactType: sbom, annotations }), sbom, annotations],
        [imageOf(config, [], { subject, annotations }), ociConfig, annotations],
        [imageOf(config, [], { subject, artifactType: sbom }), sbom, undefined],
        [indexOf([], { subject, artifactType: signature, annotations }), signature, annotations],
        [indexOf([], { subject, annotations }), undefined, annotations],
      ];
    const expected: Document[] = [];
    for (const [document, artifactType, notes] of rows) {
      const pushed = await registry.pushManifest('a', document);
      const entry: Document = refer(pushed, { artifactType, annotations: notes });
      expected.push(JSON.parse(JSON.stringify(entry)) as Document);
    }
    const listed = await registry.referrers('a', subject.digest);
    const byDigest = (a: Document, b: Document) => (String(a.digest) < String(b.digest) ? -1 : 1);
    assert.deepEqual([...listed].sort(byDigest), expected.sort(byDigest));
  }
});

test('end-12: a referrer pushed by sha512 is listed with its sha512 digest', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  const image = await registry.image('a', { subject }, 'sha512');
  const pushed = await registry.pushManifest('a', image, undefined, 'sha512');
  assert.deepEqual(digests(await registry.referrers('a', subject.digest)), [pushed.digest]);
});

test('end-12: a referrer is listed before its subject is pushed and after it is deleted', async (t) => {
  const registry = await connect(t);
  const image = await registry.image('a');
  const early = await registry.pushManifest('a', image);
  assert.equal((await registry.delete(`/v2/a/manifests/${early.digest}`)).status, 202);
  const artifact = await refersTo(registry, refer(early), 'early');
  assert.deepEqual(digests(await registry.referrers('a', early.digest)), [artifact.digest]);
  await registry.pushManifest('a', image, 'v1');
  assert.deepEqual(digests(await registry.referrers('a', early.digest)), [artifact.digest]);
  assert.equal((await registry.delete(`/v2/a/manifests/${early.digest}`)).status, 202);
  assert.deepEqual(digests(await registry.referrers('a', early.digest)), [artifact.digest]);
});

test('end-12: a deleted referrer is no longer listed; deleting its tag changes nothing', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  const tagged = await refersTo(registry, subject, 'tagged', {}, 'sig');
  const untagged = await refersTo(registry, subject, 'untagged');
  await registry.delete('/v2/a/manifests/sig');
  assert.deepEqual(digests(await registry.referrers('a', subject.digest)), digests([tagged, untagged]));
  await registry.delete(`/v2/a/manifests/${tagged.digest}`);
  assert.deepEqual(digests(await registry.referrers('a', subject.digest)), [untagged.digest]);
});

test('end-12: referrers of other repositories are not listed', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  await refersTo(registry, subject, 'of a');
  assert.deepEqual(await registry.referrers('b', subject.digest), []);
});

test('end-12: artifactType filters, and OCI-Filters-Applied says so', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  const boms = [
    await refersTo(registry, subject, '1', { artifactType: sbom }),
    await refersTo(registry, subject, '2', { artifactType: sbom }),
  ];
  const signed = await refersTo(registry, subject, '3', { artifactType: signature });
  const plain = await refersTo(registry, subject, '4');
  const untyped = await registry.pushManifest('a', indexOf([], { subject }));
  const rows: [artifactType: string, expected: Pushed[]][] = [
    [sbom, boms],
    [signature, [signed]],
    [emptyJson, [plain]],
    ['application/vnd.example.nothing', []],
    ['application/vnd.example', []],
    ['%', []],
    ['\u4e2d\r\n', []],
  ];
  for (const [artifactType, expected] of rows) {
    const answer = await registry.get(
      `/v2/a/referrers/${subject.digest}?${new URLSearchParams({ artifactType })}`,
    );
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], ociIndex);
    assert.equal(answer.headers['oci-filters-applied'], 'artifactType');
    assert.deepEqual(digests(manifestsOf(answer)), digests(expected), artifactType);
  }
  const all = await registry.get(`/v2/a/referrers/${subject.digest}`);
  assert.equal(all.headers['oci-filters-applied'], undefined);
  assert.deepEqual(digests(manifestsOf(all)), digests([...boms, signed, plain, untyped]));
});

test('end-12: a plus in artifactType is a plus, encoded or not', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  const pushed = [
    await refersTo(registry, subject, '1', { artifactType: 'application/spdx+json' }),
    await refersTo(registry, subject, '2', { artifactType: 'application/spdx+json' }),
  ];
  for (const spelling of ['application/spdx+json', 'application/spdx%2Bjson', 'application%2Fspdx%2bjson']) {
    const url = `/v2/a/referrers/${subject.digest}?artifactType=${spelling}&n=1`;
    assert.deepEqual(digests((await registry.walk(url)).flatMap(manifestsOf)), digests(pushed), spelling);
  }
});

test('end-12: a list over the size limit is paged; Link keeps the filter', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  const pushed: Pushed[] = [];
  for (let i = 0; i < 12; i++) {
    const annotations = { i: String(i), padding: 'x'.repeat(1024 * 1024) };
    pushed.push(
      await refersTo(registry, subject, '', { artifactType: i % 2 ? sbom : signature, annotations }),
    );
  }
  const odd = pushed.filter((_, i) => i % 2);
  for (const [query, expected] of [
    ['', pushed],
    [`?artifactType=${encodeURIComponent(sbom)}`, odd],
  ] as const) {
    const pages = await registry.walk(`/v2/a/referrers/${subject.digest}${query}`);
    assert.ok(pages.length > 1, 'a single page');
    assert.deepEqual(digests(pages.flatMap(manifestsOf)), digests(expected));
    for (const page of pages) {
      assert.ok(page.body.length <= 4 * 1024 * 1024, `a page of ${page.body.length} bytes`);
      assert.equal(page.headers['content-type'], ociIndex);
      assert.equal(page.headers['oci-filters-applied'], query === '' ? undefined : 'artifactType');
    }
  }
});

test('D19: the first page has hundreds of referrers, signatures and attestations first', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  const push = async (i: number, artifactType?: string) => {
    const fields = { subject, annotations: { i: String(i) }, ...(artifactType && { artifactType }) };
    return (await registry.pushManifest('a', indexOf([], fields))).digest;
  };
  const others: string[] = [];
  for (let i = 0; i < 150; i++) others.push(await push(i, i % 2 ? sbom : undefined));
  const signatures: string[] = [];
  for (const [i, type] of [
    'application/vnd.dev.cosign.artifact.sig.v1+json',
    'application/vnd.dev.sigstore.bundle.v0.3+json',
    'application/vnd.cncf.notary.signature',
  ].entries()) {
    signatures.push(await push(i, type));
  }
  const attestation = await push(0, 'application/vnd.in-toto+json');
  const expected = [...signatures.sort(), attestation, ...others.sort()];

  // go-containerregistry, and so cosign and the policy controllers, reads only one page.
  const path = `/v2/a/referrers/${subject.digest}`;
  const first = await registry.get(path);
  assert.equal(first.headers.link, undefined);
  assert.deepEqual(
    manifestsOf(first).map(({ digest }) => digest),
    expected,
  );

  const pages = await registry.walk(`${path}?n=40`);
  assert.deepEqual(
    pages.flatMap(manifestsOf).map(({ digest }) => digest),
    expected,
  );
  assert.deepEqual(
    pages.map((page) => manifestsOf(page).length),
    [40, 40, 40, 34],
  );
});

test('end-12: manifests listed by a fallback tag are listed too, each once', async (t) => {
  const registry = await connect(t);
  const image = await registry.pushImage('a', 'v1');
  const subject = refer(image);
  const known = await refersTo(registry, subject, 'has a subject', { artifactType: sbom });
  const annotations = { of: 'the manifest' };
  const listed = await registry.pushImage('a', undefined, { artifactType: signature, annotations });
  const fallback = indexOf([
    refer(known, { artifactType: sbom }),
    refer(listed, { artifactType: signature }),
  ]);
  await registry.pushManifest('a', fallback, image.digest.replace(':', '-'));

  assert.deepEqual(digests(await registry.referrers('a', image.digest)), digests([known, listed]));
  const filter = `?artifactType=${encodeURIComponent(signature)}`;
  const [entry, ...rest] = await registry.referrers('a', image.digest, filter);
  assert.equal(rest.length, 0);
  assert.deepEqual(entry, refer(listed, { artifactType: signature, annotations }));

  await registry.delete(`/v2/a/manifests/${image.digest.replace(':', '-')}`);
  assert.deepEqual(digests(await registry.referrers('a', image.digest)), [known.digest]);
});

test('end-12: the fallback tag of a sha512 digest is truncated as in the spec', async (t) => {
  const registry = await connect(t);
  const image = await registry.pushManifest('a', await registry.image('a'), undefined, 'sha512');
  const listed = await registry.pushImage('a');
  const [algorithm = '', hex = ''] = image.digest.split(':');
  await registry.pushManifest('a', indexOf([refer(listed)]), `${algorithm}-${hex.slice(0, 64)}`);
  assert.deepEqual(digests(await registry.referrers('a', image.digest)), [listed.digest]);
});

test('a fallback tag that is not an index is ignored', async (t) => {
  const registry = await connect(t);
  const image = await registry.pushImage('a', 'v1');
  await registry.pushImage('a', image.digest.replace(':', '-'));
  assert.deepEqual(await registry.referrers('a', image.digest), []);
});
