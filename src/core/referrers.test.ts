import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dialects,
  digestNumber,
  insertNewManifest,
  makeRepository,
  repositoryName,
} from '../../test/support/databases.ts';
import type { Database } from '../db/database.ts';
import { insertReferences } from '../db/manifests.ts';
import type { ReferrerKey } from '../db/referrers.ts';
import { moveTag } from '../db/tags.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex, ociImageManifest } from '../oci/media-types.ts';
import { fallbackTag, parseTag } from '../oci/reference.ts';
import { listReferrerPage, type ReferrerRequest } from './referrers.ts';

const subject = digestNumber(999);

interface Put {
  digest: Digest;
  subject?: Digest;
  artifactType?: string;
  mediaType?: string;
  annotations?: string;
}

function put(database: Database, repository: number, manifest: Put): Promise<number> {
  return database.transaction((db) =>
    insertNewManifest(
      db,
      {
        repository,
        digest: manifest.digest,
        mediaType: manifest.mediaType ?? ociImageManifest,
        bytes: Buffer.from('{}'),
        subject: manifest.subject ?? null,
        artifactType: manifest.artifactType ?? null,
        annotations: manifest.annotations ?? null,
      },
      1,
    ),
  );
}

/** The index under the fallback tag, as a client without the referrers API pushes it. */
async function putFallback(database: Database, repository: number, listed: readonly number[]): Promise<void> {
  const id = await put(database, repository, { digest: digestNumber(500), mediaType: ociImageIndex });
  await database.transaction(async (db) => {
    await insertReferences(db, id, 'child', listed.map(digestNumber));
    await moveTag(db, repository, parseTag(fallbackTag(subject)), id, 1);
  });
}

/** The digests of a page, and the position of the next one. */
async function list(database: Database, request: Partial<ReferrerRequest> = {}) {
  const { descriptors, next } = await listReferrerPage(database, repositoryName, subject, {
    after: start,
    n: undefined,
    artifactType: undefined,
    ...request,
  });
  return { digests: descriptors.map((text) => (JSON.parse(text) as { digest: string }).digest), next };
}

const start = { rank: 0, digest: '' };
const cosign = 'application/vnd.dev.cosign.artifact.sig.v1+json';
const inToto = 'application/vnd.in-toto+json';

for (const { name, open } of dialects) {
  test(`${name}: an unknown repository and an unreferenced digest have no referrers`, async (t) => {
    const database = await open(t);
    assert.deepEqual(await list(database), { digests: [], next: undefined });
    await makeRepository(database);
    assert.deepEqual(await list(database), { digests: [], next: undefined });
  });

  test(`${name}: signatures come first, then attestations; pages of every size list each once`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    // 1 to 7 name their subject; the old index lists 3 again, 8 to 10, and 11, which was never pushed.
    const types = [undefined, 'sbom', inToto, cosign, 'sbom', cosign, inToto, cosign, inToto, 'sbom'];
    for (const [i, artifactType] of types.entries()) {
      const named = i < 7 ? { subject } : {};
      await put(database, repository, {
        digest: digestNumber(i + 1),
        ...named,
        ...(artifactType && { artifactType }),
      });
    }
    await putFallback(database, repository, [9, 11, 3, 8, 10, 10]);
    const expected = [4, 6, 8, 3, 7, 9, 1, 2, 5, 10].map(digestNumber);
    assert.deepEqual(await list(database), { digests: expected, next: undefined });
    for (let n = 1; n <= expected.length; n++) {
      const walked: string[] = [];
      for (let after: ReferrerKey | undefined = start; after !== undefined; ) {
        const page: Awaited<ReturnType<typeof list>> = await list(database, { n, after });
        assert.ok(page.digests.length <= n);
        walked.push(...page.digests);
        after = page.next;
      }
      assert.deepEqual(walked, expected, `in pages of ${n}`);
    }
    assert.deepEqual(await list(database, { n: 0 }), { digests: [], next: undefined });
  });

  test(`${name}: the filter applies to manifests and to the fallback tag`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    await put(database, repository, { digest: digestNumber(1), subject, artifactType: 'a' });
    await put(database, repository, { digest: digestNumber(2), subject, artifactType: 'b' });
    await put(database, repository, { digest: digestNumber(3), artifactType: 'a' });
    await put(database, repository, { digest: digestNumber(4) });
    await putFallback(database, repository, [3, 4]);
    const all = await list(database, { artifactType: 'a' });
    assert.deepEqual(all.digests, [digestNumber(1), digestNumber(3)]);
    const first = await list(database, { artifactType: 'a', n: 1 });
    assert.deepEqual(first.digests, [digestNumber(1)]);
    const second = await list(database, { artifactType: 'a', n: 1, after: first.next as ReferrerKey });
    assert.deepEqual([second.digests, second.next], [[digestNumber(3)], undefined]);
    for (const artifactType of ['a\0', 'a'.repeat(256)]) {
      assert.deepEqual(await list(database, { artifactType }), { digests: [], next: undefined });
    }
  });

  test(`${name}: annotations are listed unchanged, read in portions, and bounded by the page`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    const mebibyte = 'é'.repeat(1 << 19);
    for (const number of [1, 2, 3, 4]) {
      const annotations = JSON.stringify({ number: String(number), mebibyte });
      await put(database, repository, { digest: digestNumber(number), subject, annotations });
    }
    await put(database, repository, { digest: digestNumber(5), subject, annotations: '{}' });
    await put(database, repository, { digest: digestNumber(6), subject });
    const request = { after: start, n: undefined, artifactType: undefined };
    const { descriptors, next } = await listReferrerPage(database, repositoryName, subject, request);
    const read = descriptors.map((text) => JSON.parse(text) as { annotations?: Record<string, string> });
    assert.deepEqual(
      read.map(({ annotations }) => annotations?.number),
      ['1', '2', '3'],
    );
    assert.ok(read.every(({ annotations }) => annotations?.mebibyte === mebibyte));
    assert.deepEqual({ rank: next?.rank, digest: next?.digest }, { rank: 2, digest: digestNumber(3) });
    const rest = await listReferrerPage(database, repositoryName, subject, {
      ...request,
      after: next as ReferrerKey,
    });
    assert.deepEqual(JSON.parse(rest.descriptors[1] as string).annotations, {});
    assert.deepEqual(JSON.parse(rest.descriptors[2] as string), {
      mediaType: ociImageManifest,
      digest: digestNumber(6),
      size: 2,
    });
  });

  test(`${name}: a fallback tag on a manifest that lists nothing adds nothing`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database);
    await put(database, repository, { digest: digestNumber(1), subject });
    const id = await put(database, repository, { digest: digestNumber(2) });
    await database.transaction((db) => insertReferences(db, id, 'blob', [digestNumber(7)]));
    await database.transaction((db) => moveTag(db, repository, parseTag(fallbackTag(subject)), id, 1));
    assert.deepEqual((await list(database)).digests, [digestNumber(1)]);
  });
}
