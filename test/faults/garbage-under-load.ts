// Clients push, check, mount, retag, delete and restore images, while garbage is collected with a grace period of nearly nothing, the
// trash is emptied, a retention policy is applied and repositories are renamed. All these jobs are stopped at random.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { actAs } from '../../src/administration/change.ts';
import { rename } from '../../src/administration/rename-repository.ts';
import { governedBy, setRetentionPolicy } from '../../src/administration/retention.ts';
import { emptyTrash } from '../../src/core/empty-trash.ts';
import { noQuotas } from '../../src/core/quotas.ts';
import { restoreImage } from '../../src/core/restore-trash.ts';
import { runRetention } from '../../src/core/retention/run.ts';
import { retention, system } from '../../src/db/changes.ts';
import type { Database } from '../../src/db/database.ts';
import { findNamed } from '../../src/db/repository-names.ts';
import { type Collected, collectGarbage } from '../../src/jobs/collect-garbage.ts';
import { RegistryError } from '../../src/oci/errors.ts';
import { parseName } from '../../src/oci/name.ts';
import { parseReference } from '../../src/oci/reference.ts';
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

/** Removes all but the newest of the tags that images share, and then the images that have no other tag. */
const policy = { rules: [{ tags: 't*', keep: { newest: 3 } }], untagged: { removeAfter: 20 } } as const;
const keepMovesFor = 1e12;
const immutableTags = [] as const;

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
  const counts = {
    ...{ pushes: 0, repeats: 0, deletes: 0, restored: 0, collections: 0, stops: 0, links: 0, blobs: 0 },
    ...{ untagged: 0, unused: 0, renames: 0 },
  };

  /** Runs a job, and stops it before its end now and then. */
  async function unlessStopped<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    const stop = new AbortController();
    const stopping = random.next() < 0.3 ? delay(random.integer(0, 30)).then(() => stop.abort()) : undefined;
    try {
      return await run(stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) throw error;
      counts.stops += 1;
      return undefined;
    } finally {
      await stopping;
    }
  }

  const collect = (
    { database, store }: (typeof replicas)[number],
    grace: number,
    signal?: AbortSignal,
  ): Promise<Collected> => {
    const clock = () => database.clock() + 1;
    const parts = { ...collectionParts(database, store), clock, expireAfter: 3_600_000, grace };
    return collectGarbage(parts, signal);
  };

  async function collector(parts: (typeof replicas)[number]): Promise<void> {
    while (going()) {
      const { database } = parts;
      if (random.next() < 0.3) {
        const before = database.clock() - random.pick([0, 20])!;
        await unlessStopped((signal) => emptyTrash(database, { before }, signal));
      }
      if (random.next() < 0.5) await applyPolicy(database);
      const collected = await unlessStopped((signal) => collect(parts, random.pick([0, 100, 400])!, signal));
      if (collected !== undefined) {
        counts.collections += 1;
        counts.links += collected.links;
        counts.blobs += collected.blobs;
      }
      await delay(random.integer(0, 60));
    }
  }

  async function applyPolicy(database: Database): Promise<void> {
    const parts = { database, deletions: { immutableTags, trash: true }, keepMovesFor, by: retention };
    const governed = await governedBy(database);
    const removed = await unlessStopped((signal) => runRetention(parts, governed, signal));
    counts.untagged += removed?.tags ?? 0;
    counts.unused += removed?.manifests ?? 0;
  }

  /** Clients use the names in `repositories`, which become aliases. */
  async function renamer(database: Database): Promise<void> {
    const names = [...repositories];
    for (let number = 0; going(); number++) {
      await delay(random.integer(20, 100));
      const at = number % names.length;
      const to = `renamed/${number}`;
      const options = { aliasFor: 3_600_000, configured: immutableTags, quotas: noQuotas, force: false };
      // Before its first push a repository does not exist.
      const renamed = await rename(actAs(database, system), names[at]!, to, options).catch(() => undefined);
      if (renamed === undefined) continue;
      names[at] = to;
      counts.renames += 1;
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
    const digest = digestOf(bytes);
    // The policy removes the others.
    const hasOwnTag = random.next() < 0.7;
    for (let attempt = 0; ; attempt++) {
      for (const layer of layers) await ensureBlob(client, repository, layer);
      const tag = `t${random.integer(0, 5)}`;
      const { status, body } = await client.send(
        'PUT',
        `/v2/${repository}/manifests/${hasOwnTag ? `${digest}?tag=own-${number}&tag=${tag}` : tag}`,
        { 'content-type': mediaType },
        bytes,
      );
      if (status === 201) break;
      assert.match(`${status} ${body}`, /^(400 .*MANIFEST_BLOB_UNKNOWN|503 )/);
      counts.repeats += 1;
      // A real grace period is longer than a push; here the load would never end.
      if (!going() && attempt > 100) return;
    }
    if (hasOwnTag) images.set(digest, { repository, digest, layers });
    counts.pushes += 1;
  }

  async function remove(client: Client): Promise<void> {
    const image = random.pick([...images.values()]);
    if (image === undefined || !images.delete(image.digest)) return;
    for (;;) {
      const { status } = await client.delete(`/v2/${image.repository}/manifests/${image.digest}`);
      if (status === 202) break;
      // The repository was renamed between two queries.
      assert.equal(status, 404);
      await pause();
    }
    counts.deletes += 1;
    if (random.next() < 0.5) await restore(image);
  }

  /** Restores an image, if the trash still has it. */
  async function restore(image: Image): Promise<void> {
    await delay(random.integer(0, 40));
    const { database } = random.pick(replicas)!;
    for (;;) {
      const alias = await findNamed(database.read, parseName(image.repository), database.clock());
      try {
        await restoreImage(
          { database, by: system, immutableTags },
          alias!.name,
          parseReference(image.digest),
        );
        break;
      } catch (error) {
        if (!(error instanceof RegistryError)) throw error;
        if (error.code === 'MANIFEST_UNKNOWN') return;
        // The repository was renamed meanwhile.
        assert.equal(error.code, 'NAME_UNKNOWN');
      }
    }
    images.set(image.digest, image);
    counts.restored += 1;
  }

  async function writer(client: Client, index: number): Promise<void> {
    for (let number = index; going(); number += 100) {
      await push(client, number);
      // Few images, so that some blobs are always needed by none.
      while (images.size > 12 || random.next() < 0.4) await remove(client);
      await pause();
    }
  }

  await setRetentionPolicy(actAs(replicas[0]!.database, system), 'registry', policy, keepMovesFor);
  await Promise.all([
    renamer(replicas[0]!.database),
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
