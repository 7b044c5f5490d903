import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { countQueries } from '../../test/support/count-queries.ts';
import { digestsOf, insertBlobs } from '../../test/support/crowd.ts';
import { dialects, type TestDialect } from '../../test/support/databases.ts';
import { listLinkedDigests } from '../db/blob-links.ts';
import { findBlobRow } from '../db/blobs.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { findRepository } from '../db/repositories.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex, ociImageManifest } from '../oci/media-types.ts';
import { parseName, type RepositoryName } from '../oci/name.ts';
import { parseReference, parseTag } from '../oci/reference.ts';
import { copyImage, type ImageCopy } from './copy-image.ts';
import { Manifests, type MissingReferences } from './manifests.ts';
import { digestBytes } from './running-hash.ts';

const [app, prod] = [parseName('acme/app'), parseName('prod/app')];
const [config, base, amd, arm, sbom, other] = digestsOf('blob', 6) as Digest[];

function describe(digest: Digest | undefined, more: object = {}) {
  return { mediaType: ociImageManifest, digest, size: 1, ...more };
}

function document(content: object) {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...content }));
  return { bytes, digest: digestBytes('sha256', bytes) };
}

function image(layers: readonly (Digest | undefined)[], more: object = {}) {
  const content = { config: describe(config), layers: layers.map((digest) => describe(digest)), ...more };
  return document({ mediaType: ociImageManifest, ...content });
}

const images = [image([base, amd]), image([base, arm])];
const inner = document({ mediaType: ociImageIndex, manifests: [describe(images[1]?.digest)] });
const index = document({
  mediaType: ociImageIndex,
  manifests: [describe(images[0]?.digest), describe(inner.digest)],
});
const signature = image([], { subject: describe(index.digest), artifactType: 'application/vnd.example.sig' });
const signatureOfSignature = image([sbom], { subject: describe(signature.digest) });
const signatureOfImage = image([], { subject: describe(images[1]?.digest), annotations: { key: 'é' } });
/** An index that refers to its own child. */
const listing = document({
  mediaType: ociImageIndex,
  manifests: [describe(index.digest)],
  subject: describe(index.digest),
});
const everything = [...[...images, inner, index, signature, signatureOfSignature, signatureOfImage, listing]];

/** A registry whose repository acme/app has an index of nested images, with signatures, as tag rc. */
async function makeWorld(
  t: TestContext,
  { open }: TestDialect,
  missingReferences: MissingReferences = 'none',
) {
  const database = await open(t);
  const { clock } = database;
  const manifests = new Manifests({ database, clock, missingReferences, immutableTags: [] });
  const rights = { mayCreate: true, mayUpdate: true };
  const push = (name: RepositoryName, reference: string, { bytes }: { bytes: Buffer }) =>
    manifests.put(name, parseReference(reference), {
      ...{ contentType: undefined, bytes, tags: [], conditions: {}, rights, by: system },
    });
  await insertBlobs(database, app, [config, base, amd, arm, sbom, other] as Digest[]);
  for (const manifest of everything) await push(app, manifest.digest, manifest);
  await push(app, 'rc', index);
  const copyWith = (
    written: Database,
    more: Partial<ImageCopy> & { reference?: string; limit?: number } = {},
  ) =>
    copyImage(
      {
        database: written,
        clock,
        manifests: new Manifests({ database: written, clock, missingReferences, immutableTags: [] }),
        immutableTags: [],
      },
      {
        from: { name: app, reference: parseReference(more.reference ?? 'rc') },
        to: { name: prod, tag: parseTag('v1') },
        ...{ referrers: true, mayPull: () => true, rights, by: system, ...more },
      },
      more.limit,
    );
  const copy = (more?: Parameters<typeof copyWith>[1]) => copyWith(database, more);
  const held = async () => {
    const id = await findRepository(database.read, prod);
    const rows = await database.read
      .selectFrom('manifests')
      .selectAll()
      .where('repository_id', '=', id ?? 0)
      .execute();
    const blobs = id === undefined ? [] : await listLinkedDigests(database.read, id);
    return { manifests: rows.map(({ digest }) => digest).sort(), blobs: blobs.sort() };
  };
  const changes = async () =>
    (
      await database.read
        .selectFrom('changes')
        .selectAll()
        .where('repository', '=', prod)
        .orderBy('id')
        .execute()
    ).map(({ kind, tag, old_digest, new_digest, detail }) => ({ kind, tag, old_digest, new_digest, detail }));
  return { database, manifests, push, copy, copyWith, held, changes };
}

function digests(manifests: readonly { digest: Digest }[]): Digest[] {
  return manifests.map(({ digest }) => digest).sort();
}

for (const dialect of dialects) {
  const { name } = dialect;

  test(`${name}: copies an index with nested children, all referrers and only the blobs that they need`, async (t) => {
    const { database, manifests, copy, held, changes } = await makeWorld(t, dialect);
    assert.deepEqual(await copy(), { digest: index.digest, copied: 8, before: undefined });
    assert.deepEqual(await held(), {
      manifests: digests(everything),
      blobs: ([config, base, amd, arm, sbom] as Digest[]).sort(),
    });
    const pulled = await manifests.get(prod, parseReference('v1'));
    assert.deepEqual([pulled.digest, pulled.bytes], [index.digest, index.bytes]);
    const rows = await database.read
      .selectFrom('manifests')
      .select(['repository_id', 'digest', 'subject_digest', 'artifact_type', 'annotations', 'media_type'])
      .orderBy('repository_id')
      .orderBy('digest')
      .execute();
    const bare = rows.map(({ repository_id: _, ...row }) => row);
    assert.deepEqual(bare.slice(0, 8), bare.slice(8));
    const made = await changes();
    const detail = JSON.stringify({ from: app, reference: 'rc' });
    assert.deepEqual(made.at(-1), {
      ...{ kind: 'manifest.copy', tag: 'v1', old_digest: null, new_digest: index.digest, detail },
    });
    const others = made.slice(0, -1);
    assert.deepEqual(others.map(({ new_digest }) => new_digest).sort(), digests(everything));
    for (const { new_digest: _, ...row } of others) {
      assert.deepEqual(row, { kind: 'manifest.copy', tag: null, old_digest: null, detail });
    }
  });

  test(`${name}: a repeated copy changes and records nothing, and a copy of another image moves the tag`, async (t) => {
    const { copy, changes } = await makeWorld(t, dialect);
    await copy();
    const before = await changes();
    assert.deepEqual(await copy(), { digest: index.digest, copied: 0, before: index.digest });
    assert.deepEqual(await changes(), before);
    const first = images[0] as { digest: Digest };
    assert.deepEqual(await copy({ reference: first.digest }), {
      ...{ digest: first.digest, copied: 0, before: index.digest },
    });
    const { tag, old_digest, new_digest } = (await changes()).at(-1)!;
    assert.deepEqual([tag, old_digest, new_digest], ['v1', index.digest, first.digest]);
  });

  test(`${name}: a copy that stops halfway sets no tag, and can be repeated`, async (t) => {
    const { database, copy, copyWith, held, manifests } = await makeWorld(t, dialect);
    let transactions = 0;
    const failing: typeof database = {
      ...database,
      transaction(work, options) {
        if (++transactions > 4) throw new Error('stopped');
        return database.transaction(work, options);
      },
    };
    await assert.rejects(copyWith(failing), /stopped/);
    assert.equal((await held()).manifests.length, 4);
    await assert.rejects(manifests.get(prod, parseReference('v1')), { code: 'MANIFEST_UNKNOWN' });
    assert.equal((await copy()).copied, 4);
    assert.deepEqual((await held()).manifests, digests(everything));
  });

  test(`${name}: refuses to copy more manifests than the limit, and copies none of them`, async (t) => {
    const { copy, held } = await makeWorld(t, dialect);
    const message = 'the image has more than 7 manifests, with children and referrers';
    await assert.rejects(copy({ limit: 7 }), { code: 'UNSUPPORTED', message });
    assert.deepEqual(await held(), { manifests: [], blobs: [] });
    assert.equal((await copy({ limit: 8 })).copied, 8);
  });

  test(`${name}: copies no referrers if they are not wanted`, async (t) => {
    const { copy, held } = await makeWorld(t, dialect);
    assert.equal((await copy({ referrers: false })).copied, 4);
    assert.deepEqual((await held()).manifests, digests([...images, inner, index]));
  });

  test(`${name}: copies inside a repository by moving the tag alone`, async (t) => {
    const { copy, manifests } = await makeWorld(t, dialect);
    const to = { name: app, tag: parseTag('stable') };
    assert.deepEqual(await copy({ to }), { digest: index.digest, copied: 0, before: undefined });
    assert.equal((await manifests.get(app, parseReference('stable'))).digest, index.digest);
  });

  test(`${name}: refuses a source that may not be pulled as if it were missing, and creates nothing`, async (t) => {
    const { database, copy } = await makeWorld(t, dialect);
    const missing = { code: 'NAME_UNKNOWN', message: 'there is no repository acme/app' };
    await assert.rejects(
      copy({ mayPull: ({ name, visibility }) => name !== app || visibility !== 'private' }),
      missing,
    );
    await assert.rejects(copy({ reference: 'v9' }), { code: 'MANIFEST_UNKNOWN' });
    assert.equal(await findRepository(database.read, prod), undefined);
  });

  test(`${name}: refuses to move a tag without the right`, async (t) => {
    const { copy, push, manifests } = await makeWorld(t, dialect);
    const rights = { mayCreate: true, mayUpdate: false };
    await copy({ rights });
    const signed = copy({ rights, reference: signature.digest });
    await assert.rejects(signed, { code: 'DENIED' });
    assert.equal((await manifests.get(prod, parseReference('v1'))).digest, index.digest);
    await push(app, 'rc', signature);
    await copy();
    assert.equal((await manifests.get(prod, parseReference('v1'))).digest, signature.digest);
  });

  test(`${name}: refuses an image with a missing child unless children may be missing`, async (t) => {
    for (const [missing, copied] of [
      ['none', undefined],
      ['children', 3],
    ] as const) {
      const { copy, manifests, held } = await makeWorld(t, dialect, missing);
      await manifests.delete(app, parseReference(images[0]!.digest), system);
      if (copied === undefined) {
        await assert.rejects(copy(), {
          code: 'MANIFEST_BLOB_UNKNOWN',
          detail: [{ digest: images[0]?.digest }],
        });
        assert.ok(
          !(await held()).manifests.includes(index.digest),
          'no tag and no index without its children',
        );
      } else {
        assert.equal((await copy({ referrers: false })).copied, copied);
      }
    }
  });

  test(`${name}: postpones the deletion of each blob that it links`, async (t) => {
    const { database, copy } = await makeWorld(t, dialect);
    const reviews = async () =>
      Object.fromEntries(
        (await database.read.selectFrom('blobs').select(['digest', 'review_at']).execute()).map((row) => [
          row.digest,
          row.review_at,
        ]),
      );
    await database.transaction((db) => db.updateTable('blobs').set({ review_at: 1 }).execute());
    await copy();
    const { [other as string]: unused, ...used } = await reviews();
    assert.equal(unused, 1);
    assert.ok(Object.values(used).every((at) => at > 1));
    assert.equal((await findBlobRow(database.read, config as Digest))?.state, 'stored');
  });

  test(`${name}: copies a manifest with 700 layers in two statements for each blob, and few others`, async (t) => {
    const { database, push, copy, held } = await makeWorld(t, dialect);
    const layers = digestsOf('layer', 700) as Digest[];
    await insertBlobs(database, app, layers);
    await push(app, 'big', image(layers));
    const queries = await countQueries(() => copy({ reference: 'big' }));
    assert.ok(queries < 2 * 701 + 40, `${queries} queries`);
    assert.equal((await held()).blobs.length, 701);
  });
}
