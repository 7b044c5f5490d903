// Clients push, check, mount, retag and delete while garbage is collected with a grace period of nearly nothing.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { emptyTrash } from '../../src/core/empty-trash.ts';
import type { Database } from '../../src/db/database.ts';
import { type Collected, collectGarbage } from '../../src/jobs/collect-garbage.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { Random } from '../replicas/random.ts';
import { collectionParts } from '../support/garbage.ts';
import { Client, digestOf, ociLayer } from '../support/inject.ts';
import { testRegistry } from '../support/registry.ts';

/** Database and store of one replica, opened for it. */
export type OpenParts = () => Promise<{ readonly database: Database; readonly store: BlobStore }>;

const repositories = ['a', 'b', 'c/d'];
/** So few that images of all repositories share them. */
const contents = Array.from({ length: 12 }, (_, n) => `content ${n}`);
const mediaType = 'application/vnd.oci.image.manifest.v1+json';

interface Image {
  readonly repository: string;
  readonly digest: string;
  readonly layers: readonly string[];
}

/**
 * Asserts that no image that a client pushed and nobody deleted loses anything, and that a second garbage collection finds nothing
 * more to do.
 * @param running whether the load continues
 * @param open opens the parts of one of two replicas
 */
export async function collectUnderLoad(
  t: TestContext,
  seed: number,
  running: () => boolean,
  open: OpenParts,
): Promise<void> {
  t.diagnostic(`seed ${seed}`);
  const random = new Random(seed);
  const replicas = await Promise.all([open(), open()]);
  const clients = await Promise.all(
    replicas.map(async (parts) => new Client((await testRegistry(t, {}, async () => parts)).app.http)),
  );
  const pause = () => delay(random.integer(0, 4));
  /** The pushed images that nobody deletes, by digest. */
  const images = new Map<string, Image>();
  /** Also continues until enough has happened on a busy machine. */
  const going = () => running() || counts.pushes < 10 || counts.deletes < 3 || counts.links < 10;
  const counts = { pushes: 0, repeats: 0, deletes: 0, collections: 0, links: 0, blobs: 0 };

  const collect = ({ database, store }: (typeof replicas)[number], grace: number): Promise<Collected> => {
    const clock = () => database.clock() + 1;
    const parts = { ...collectionParts(database, store), clock, expireAfter: 3_600_000, grace };
    return collectGarbage(parts);
  };

  async function collector(parts: (typeof replicas)[number]): Promise<void> {
    while (going()) {
      if (random.next() < 0.5) await emptyTrash(parts.database, { before: parts.database.clock() });
      const { links, blobs } = await collect(parts, random.pick([0, 100, 400])!);
      counts.collections += 1;
      counts.links += links;
      counts.blobs += blobs;
      await delay(random.integer(0, 60));
    }
  }

  /** As docker does: asks for the blob, and uploads or mounts it if the repository does not hold it. */
  async function ensureBlob(client: Client, repository: string, content: string): Promise<void> {
    const digest = digestOf(content);
    if ((await client.head(`/v2/${repository}/blobs/${digest}`)).status === 200) return;
    await pause();
    for (;;) {
      const from = random.pick(repositories)!;
      const [query, body] =
        random.next() < 0.4 ? [`mount=${digest}&from=${from}`, ''] : [`digest=${digest}`, content];
      const { status } = await client.send('POST', `/v2/${repository}/blobs/uploads/?${query}`, {}, body);
      if (status === 201) return;
      assert.ok(status === 202 || status === 503, `${status}`);
    }
  }

  async function push(client: Client, number: number): Promise<void> {
    const repository = random.pick(repositories)!;
    const layers = [...new Set([0, 1, 2].map(() => random.pick(contents)!))];
    const descriptors = layers.map((layer) => ({
      mediaType: ociLayer,
      digest: digestOf(layer),
      size: layer.length,
    }));
    const [config] = descriptors;
    const image = {
      schemaVersion: 2,
      mediaType,
      config,
      layers: descriptors,
      annotations: { number: `${number}` },
    };
    const bytes = Buffer.from(JSON.stringify(image));
    for (let attempt = 0; ; attempt++) {
      for (const layer of layers) await ensureBlob(client, repository, layer);
      const tag = `t${random.integer(0, 5)}`;
      const { status, body } = await client.send(
        'PUT',
        `/v2/${repository}/manifests/${tag}`,
        { 'content-type': mediaType },
        bytes,
      );
      if (status === 201) break;
      assert.match(`${status} ${body}`, /^(400 .*MANIFEST_BLOB_UNKNOWN|503 )/);
      counts.repeats += 1;
      // A real grace period is longer than a push; here the load would never end.
      if (!going() && attempt > 100) return;
    }
    const digest = digestOf(bytes);
    images.set(digest, { repository, digest, layers });
    counts.pushes += 1;
  }

  async function remove(client: Client): Promise<void> {
    const image = random.pick([...images.values()]);
    if (image === undefined || !images.delete(image.digest)) return;
    const { status } = await client.delete(`/v2/${image.repository}/manifests/${image.digest}`);
    assert.equal(status, 202);
    counts.deletes += 1;
  }

  async function writer(client: Client, index: number): Promise<void> {
    for (let number = index; going(); number += 100) {
      await push(client, number);
      // Few images, so that some blobs are always needed by none.
      while (images.size > 12 || random.next() < 0.4) await remove(client);
      await pause();
    }
  }

  await Promise.all([
    ...replicas.map(collector),
    ...clients.flatMap((client, replica) => [0, 1].map((n) => writer(client, replica * 10 + n))),
  ]);

  for (const { repository, digest, layers } of images.values()) {
    assert.equal((await clients[0]!.get(`/v2/${repository}/manifests/${digest}`)).status, 200, digest);
    for (const layer of layers) {
      const { status, body } = await clients[1]!.get(`/v2/${repository}/blobs/${digestOf(layer)}`);
      assert.equal(`${status} ${body}`, `200 ${layer}`, `${digest} in ${repository}`);
    }
  }
  await delay(2);
  await emptyTrash(replicas[0]!.database, { before: Number.MAX_SAFE_INTEGER });
  await collect(replicas[0]!, 0);
  const { links, blobs } = await collect(replicas[1]!, 0);
  assert.deepEqual([links, blobs], [0, 0], 'a second garbage collection');
  t.diagnostic(JSON.stringify({ ...counts, kept: images.size }));
}
