import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { clientOf } from '../crash/http-client.ts';
import { RawConnection } from '../faults/raw-connection.ts';
import { finish, patch, pullBlob, received, startUpload } from '../faults/uploading.ts';
import { type Client, type Document, digestOf } from '../support/inject.ts';
import { needs } from '../support/needs.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { Postgres } from './postgres.ts';
import type { Replica } from './replica.ts';

const mib = 1 << 20;

/** Milliseconds after which another request can replace a dead writer: its lease, and a margin for two busy cores. */
const takenOverWithin = 20_000;

/** The URL of the session at another replica. */
const at = (replica: Replica, session: string) => replica.url + new URL(session).pathname;

const assertEverywhere = async (replicas: readonly Replica[], digest: string, bytes: Buffer) => {
  for (const { url } of replicas) assert.ok((await pullBlob(url, 'app', digest)).equals(bytes), url);
};

/** Begins a PATCH and sends half of it; resolves when the registry has accepted it. */
async function beginPatch(session: string, bytes: Buffer, first: number): Promise<RawConnection> {
  const connection = await RawConnection.to(session);
  connection.request('PATCH', new URL(session).pathname, {
    'content-length': bytes.length,
    'content-range': `${first}-${first + bytes.length - 1}`,
    expect: '100-continue',
  });
  assert.equal((await connection.response())?.status, 100);
  connection.send(bytes.subarray(0, bytes.length / 2));
  return connection;
}

/** Sends a chunk until no other request holds the session; returns the milliseconds that this took. */
async function patchWhenFree(session: string, bytes: Buffer<ArrayBuffer>, first: number): Promise<number> {
  const begin = performance.now();
  for (;;) {
    const { status } = await patch(session, bytes, first);
    if (status === 202) return performance.now() - begin;
    assert.equal(status, 416);
    assert.ok(performance.now() - begin < takenOverWithin, 'another request still holds the session');
    await delay(250);
  }
}

/** Repeats a PUT that gets 503, as clients do: on a loaded machine the bucket may answer too late, and the session stays. */
async function finishWhenAvailable(session: string, digest: string): Promise<Response> {
  const begin = performance.now();
  for (;;) {
    const response = await finish(session, digest);
    if (response.status !== 503 || performance.now() - begin > takenOverWithin) return response;
    assert.ok(response.headers.get('retry-after'));
    await delay(1_000);
  }
}

type Handover = (t: TestContext, cluster: Cluster) => Promise<void>;

const handovers: Record<string, Handover> = {
  async 'three replicas starting together on an empty database migrate it once, and all serve'(_t, cluster) {
    const { postgres, database, replicas } = cluster;
    const applied = await postgres.query(database, 'select name from kysely_migration');
    assert.ok(applied.length > 0);
    assert.equal(new Set(applied.map(({ name }) => name)).size, applied.length);
    for (const { url } of replicas) assert.equal((await fetch(`${url}/readyz`)).status, 200);
  },

  async 'each request of an upload can go to another replica'(_t, { replicas }) {
    const [one, two, three] = replicas;
    // Parts of a multipart upload have at least 5 MiB: chunks above, below and of this size, and a rest.
    for (const sizes of [
      [1],
      [6 * mib, 3 * mib, 1],
      [5 * mib, 5 * mib, 100],
      [10, 20, 30, 40],
      [mib, 7 * mib],
    ]) {
      const bytes = randomBytes(sizes.reduce((sum, size) => sum + size));
      const session = await startUpload(one.url, 'app');
      let sent = 0;
      for (const [index, size] of sizes.entries()) {
        const next = at([two, three, one][index % 3]!, session);
        assert.equal(await received(next), sent);
        assert.equal((await patch(next, bytes.subarray(sent, sent + size), sent)).status, 202);
        sent += size;
      }
      const digest = digestOf(bytes);
      assert.equal((await finishWhenAvailable(at(one, session), digest)).status, 201);
      await assertEverywhere(replicas, digest, bytes);
    }
  },

  async 'an upload continues an hour later, at a replica started since'(t, cluster) {
    const bytes = randomBytes(7 * mib);
    const first = await cluster.startReplica(t);
    const session = await startUpload(first.url, 'app');
    assert.equal((await patch(session, bytes.subarray(0, 6 * mib))).status, 202);
    await first.stop('SIGTERM');
    const { id } = /(?<id>[^/]+)$/.exec(session)!.groups!;
    await cluster.postgres.query(
      cluster.database,
      `update uploads set updated_at = updated_at - 3600000, created_at = created_at - 3600000 where id = '${id}'`,
    );
    const later = await cluster.startReplica(t);
    assert.equal(await received(at(later, session)), 6 * mib);
    assert.equal((await patch(at(later, session), bytes.subarray(6 * mib), 6 * mib)).status, 202);
    const digest = digestOf(bytes);
    assert.equal((await finishWhenAvailable(at(later, session), digest)).status, 201);
    await assertEverywhere(cluster.replicas, digest, bytes);
  },

  async 'an upload continues at another replica after its replica is killed during a chunk'(t, cluster) {
    const bytes = randomBytes(9 * mib);
    const [, , three] = cluster.replicas;
    const doomed = await cluster.startReplica(t);
    const session = await startUpload(three.url, 'app');
    assert.equal((await patch(at(doomed, session), bytes.subarray(0, mib))).status, 202);
    const cut = await beginPatch(at(doomed, session), bytes.subarray(mib), mib);
    await doomed.stop('SIGKILL');
    await cut.closed;
    assert.equal(await received(session), mib, 'only acknowledged bytes count');
    const waited = await patchWhenFree(session, bytes.subarray(mib), mib);
    t.diagnostic(`taken over after ${(waited / 1000).toFixed(1)} s`);
    const digest = digestOf(bytes);
    assert.equal((await finishWhenAvailable(session, digest)).status, 201);
    await assertEverywhere(cluster.replicas, digest, bytes);
  },

  async 'a replica suspended beyond its lease does not change what its successor wrote'(t, cluster) {
    const bytes = randomBytes(9 * mib);
    const other = randomBytes(9 * mib);
    const [, two, three] = cluster.replicas;
    const sleeper = await cluster.startReplica(t);
    const session = await startUpload(two.url, 'app');
    assert.equal((await patch(session, bytes.subarray(0, mib))).status, 202);
    const asleep = await beginPatch(at(sleeper, session), other.subarray(mib), mib);
    process.kill(sleeper.pid, 'SIGSTOP');
    await patchWhenFree(at(three, session), bytes.subarray(mib, 2 * mib), mib);
    process.kill(sleeper.pid, 'SIGCONT');
    asleep.send(other.subarray(mib).subarray((other.length - mib) / 2));
    const answer = await asleep.response();
    assert.match(
      String(answer?.status),
      /^(404|416|5\d\d)$/,
      'the bytes of the suspended replica were acknowledged',
    );
    assert.equal(await received(session), 2 * mib);
    assert.equal((await patch(session, bytes.subarray(2 * mib), 2 * mib)).status, 202);
    const digest = digestOf(bytes);
    assert.equal((await finishWhenAvailable(at(three, session), digest)).status, 201);
    await assertEverywhere(cluster.replicas, digest, bytes);
  },

  async 'one of two concurrent writers of an upload at two replicas is accepted'(_t, { replicas }) {
    const [one, two, three] = replicas;
    const session = await startUpload(one.url, 'app');
    let bytes: Buffer = Buffer.alloc(0);
    for (let round = 0; round < 10; round++) {
      const chunks = [randomBytes(mib), randomBytes(mib)] as const;
      const answers = await Promise.all([
        patch(at(one, session), chunks[0], bytes.length),
        patch(at(two, session), chunks[1], bytes.length),
      ]);
      const statuses = answers.map(({ status }) => status);
      const winner = statuses.indexOf(202);
      assert.deepEqual(statuses.toSorted(), [202, 416]);
      bytes = Buffer.concat([bytes, chunks[winner]!]);
      assert.equal(await received(at(three, session)), bytes.length);
    }
    const digest = digestOf(bytes);
    assert.equal((await finishWhenAvailable(at(three, session), digest)).status, 201);
    await assertEverywhere(replicas, digest, bytes);
  },

  async 'while one replica receives a chunk, another rejects one with the current range'(_t, { replicas }) {
    const [one, two] = replicas;
    const bytes = randomBytes(2 * mib);
    const session = await startUpload(one.url, 'app');
    const slow = await beginPatch(session, bytes, 0);
    const refused = await patch(at(two, session), randomBytes(10), 0);
    assert.equal(refused.status, 416);
    assert.equal(refused.headers.get('range'), '0-0');
    slow.send(bytes.subarray(mib));
    assert.equal((await slow.response())?.status, 202);
    slow.destroy();
    assert.equal((await finishWhenAvailable(at(two, session), digestOf(bytes))).status, 201);
  },

  async 'every replica serves at once what another has acknowledged'(_t, { replicas }) {
    const clients = replicas.map(({ url }) => clientOf(url));
    const held: string[] = [];
    for (let round = 0; round < 6; round++) {
      const name = `fresh/${round % 2}`;
      const writer = clients[round % 3]!;
      const others = clients.filter((client) => client !== writer);
      const image = await writer.pushImage(name, `v${round}`);
      if (!held.includes(name)) held.push(name);
      for (const reader of others) {
        const byTag = await reader.get(`/v2/${name}/manifests/v${round}`);
        assert.ok(byTag.body.equals(image.bytes));
        assert.ok((await reader.tags(name)).includes(`v${round}`));
        const catalog = await reader.get('/v2/_catalog?n=1000');
        for (const name of held)
          assert.ok(catalog.json<{ repositories: string[] }>().repositories.includes(name));
      }
      const { layers } = JSON.parse(image.bytes.toString());
      for (const { url } of replicas) await pullBlob(url, name, layers[0].digest);

      // Moves the tag, adds a referrer, and deletes the tag, the manifest and the blob.
      const moved = await writer.pushImage(name, `v${round}`);
      for (const reader of others)
        assert.ok((await reader.get(`/v2/${name}/manifests/v${round}`)).body.equals(moved.bytes));
      const subject = { mediaType: image.mediaType, digest: image.digest, size: image.bytes.length };
      const referrer = await writer.pushImage(name, undefined, { subject });
      for (const reader of others)
        assert.deepEqual(
          (await reader.referrers(name, image.digest)).map(({ digest }) => digest),
          [referrer.digest],
        );
      for (const gone of [`manifests/v${round}`, `manifests/${image.digest}`, `blobs/${layers[0].digest}`]) {
        const url = `/v2/${name}/${gone}`;
        assert.equal((await writer.delete(url)).status, 202);
        for (const reader of others) assert.equal((await reader.get(url)).status, 404, url);
      }
      for (const reader of others) assert.ok(!(await reader.tags(name)).includes(`v${round}`));
    }
  },

  async 'writers at three replicas that add to one tag with If-Match lose no update'(_t, { replicas }) {
    const clients = replicas.map(({ url }) => clientOf(url));
    const image = await clients[0]!.image('log');
    await clients[0]!.putManifest('log', 'all', image, { 'if-none-match': '*' });
    let refused = 0;
    // Under load, the queue for a tag's lock may take longer than a transaction waits for it (5 s). Such a push gets 503 with
    // Retry-After, and has changed nothing.
    const putUntilAnswered = async (
      client: Client,
      tag: string,
      document: Document,
      headers: Record<string, string>,
    ) => {
      for (;;) {
        const answer = await client.putManifest('log', tag, document, headers);
        if (answer.status !== 503) return answer;
        assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
      }
    };
    const add = async (writer: number) => {
      const client = clients[writer % 3]!;
      for (;;) {
        const current = await client.get('/v2/log/manifests/all');
        const document = current.json<Document & { annotations?: Record<string, string> }>();
        const annotations = { ...document.annotations, [`writer-${writer}`]: 'was here' };
        const conditions = { 'if-match': current.headers.etag! };
        const { status } = await putUntilAnswered(client, 'all', { ...document, annotations }, conditions);
        if (status === 201) return;
        assert.equal(status, 412);
        refused += 1;
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, writer) => add(writer)));
    const { annotations } = (await clients[1]!.get('/v2/log/manifests/all')).json<{ annotations: object }>();
    assert.equal(Object.keys(annotations).length, 12);
    assert.ok(refused > 0, 'no two writers conflicted');
    const created = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        putUntilAnswered(
          clients[i % 3]!,
          'first',
          { ...image, annotations: { i: String(i) } },
          { 'if-none-match': '*' },
        ),
      ),
    );
    assert.deepEqual(created.map(({ status }) => status).sort(), [201, ...Array(11).fill(412)]);
  },
};

test('three replicas', { concurrency: true }, async (t) => {
  if (!needs(t, 'postgres', 'nginx', 'versitygw')) return;
  const postgres = await Postgres.start(t);
  const storages = process.env.ONLY ? [process.env.ONLY as 'S3'] : (['S3', 'shared directory'] as const);
  await Promise.all(
    storages.map((storage) =>
      t.test(`over ${storage}`, { concurrency: true }, async (t) => {
        const cluster = await startCluster(t, { storage, redirect: true, postgres });
        await Promise.all(
          Object.entries(handovers).map(([name, handover]) => t.test(name, (t) => handover(t, cluster))),
        );
      }),
    ),
  );
});
