// The drill: push, back up, destroy, restore, pull; and backups and restores that are killed.
import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import { StoreDisagrees } from '../../src/core/store-mismatch.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { collectGarbage } from '../../src/jobs/collect-garbage.ts';
import { openDatabase, openStore } from '../../src/open.ts';
import { clientOf, NoAnswer } from '../crash/http-client.ts';
import { Ledger } from '../crash/ledger.ts';
import { Writer } from '../crash/writer.ts';
import { berth, makeRegistry } from '../support/berth.ts';
import { run } from '../support/command.ts';
import { collectionParts } from '../support/garbage.ts';
import { openTestPostgres } from '../support/postgres.ts';
import { s3Settings } from '../support/s3.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { interrupt } from './interrupt.ts';
import { fillDatabase } from './large.ts';
import { assertClean, bucket, database, onDisk, onServers, type Place, place, succeed } from './places.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface World {
  readonly at: Place;
  /** The place of the backups. */
  readonly to: string;
  /** An empty place of the same kind, as after the loss of everything. */
  replace(): Promise<Place>;
}

const worlds: Record<string, (t: TestContext) => Promise<World | undefined>> = {
  async 'SQLite and files'(t) {
    return { at: await onDisk(t), to: await temporaryDirectory(t), replace: () => onDisk(t) };
  },
  async 'PostgreSQL and S3'(t) {
    const at = await onServers(t);
    const backups = await s3Settings(t);
    if (at === undefined || backups === undefined) return undefined;
    const replace = async () => (await onServers(t)) as Place;
    return { at, to: `s3://${backups.bucket}/nightly/berth`, replace };
  },
};

for (const [name, open] of Object.entries(worlds)) {
  test(`${name}: a registry that was backed up while clients pushed is restored, and serves what it had`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { at, to } = world;
    const running = await at.serve();
    const client = clientOf(running.url);
    const images = [await client.pushImage('app', 'v1'), await client.pushImage('app', 'v2')];
    await client.pushBlob('app', 'held by no manifest');
    const ledger = new Ledger();
    let isPushing = true;
    const writers = ['one', 'two'].map((each) =>
      new Writer(`busy/${each}`, ledger, 100).run(whileTrue(clientOf(running.url), () => isPushing)),
    );
    await succeed(at, 'backup', to);
    const out = await succeed(at, 'backup', to, '--blobs', '--keep', '1');
    assert.match(out, /: \d+ rows \(.*\), verified\n\d+ blobs copied .*\ndeleted berth-backup-/);
    isPushing = false;
    await Promise.all(writers);
    assert.ok(ledger.acknowledged > 0);
    await running.stop();
    assert.match(await succeed(at, 'backup', 'verify', to), /rows, (\d+) of \1 blobs, taken/);

    const empty = await world.replace();
    assert.match(await succeed(empty, 'restore', to, '--blobs'), /^restored berth-backup-.*blobs copied/);
    assert.deepEqual(await findings(empty), ['restored']);
    const again = await empty.serve();
    for (const { digest, bytes } of images) {
      const answer = await clientOf(again.url).get(`/v2/app/manifests/${digest}`);
      assert.equal(answer.status, 200);
      assert.ok(answer.body.equals(bytes));
    }
    assert.deepEqual(await clientOf(again.url).tags('app'), ['v1', 'v2']);
    await clientOf(again.url).pushImage('app', 'v3');
    await again.stop();

    await assert.rejects(collectGarbageOf(empty), StoreDisagrees);
    await succeed(empty, 'fsck', '--repair', '--yes');
    await collectGarbageOf(empty);
    await assertClean(empty);
  });

  test(`${name}: after a restore over newer blobs nothing is deleted until a repair`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { at, to } = world;
    const running = await at.serve();
    const client = clientOf(running.url);
    await client.pushImage('app', 'v1');
    await succeed(at, 'backup', to);
    const newer = await client.pushBlob('app', 'newer than the backup');
    await running.stop();
    const restored = await emptyDatabase(t, at);
    await succeed(restored, 'restore', to);
    await assert.rejects(collectGarbageOf(restored), StoreDisagrees);
    const said = await berth('fsck', '--config', restored.file);
    assert.match(said.out, /was restored from berth-backup-.*nothing is deleted until `berth fsck --repair`/);
    const served = await restored.serve();
    assert.equal((await clientOf(served.url).get(`/v2/app/blobs/${newer}`)).status, 404);
    const metrics = await fetch(`${served.url}/metrics`);
    assert.match(await metrics.text(), /^berth_store_agrees 0$/m);
    await served.stop();
    await succeed(restored, 'fsck', '--repair', '--yes');
    assert.deepEqual(await findings(restored), ['blob-parked']);
    await collectGarbageOf(restored);
  });
}

/** Ends the writer's client when `isTrue` is no longer true. */
function whileTrue(client: ReturnType<typeof clientOf>, isTrue: () => boolean): ReturnType<typeof clientOf> {
  const send = client.send.bind(client);
  client.send = async (...request) => {
    if (!isTrue()) throw new NoAnswer('stopped');
    return send(...request);
  };
  return client;
}

async function findings({ file }: Place): Promise<string[]> {
  const { out } = await berth('fsck', '--read-data', '--json', '--config', file);
  return out
    .trim()
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { kind: string }).kind)
    .filter((kind) => !/^(upload|staged)/.test(kind));
}

/** The same store with an empty database. */
async function emptyDatabase(t: TestContext, at: Place & { readonly s3?: unknown }): Promise<Place> {
  if (at.s3 === undefined) {
    for (const end of ['', '-wal', '-shm']) await rm(join(at.data, `berth.db${end}`), { force: true });
    return at;
  }
  return place(t, { ...database(await openTestPostgres(t)), ...bucket(at.s3 as never) });
}

/** A garbage collection ten days from now. */
async function collectGarbageOf({ file }: Place): Promise<void> {
  const { config } = loadConfig({ file, env: {} });
  const [database, store] = [await openDatabase(config), await openStore(config)];
  const day = 24 * 3_600_000;
  try {
    const clock = () => database.clock() + 10 * day;
    const times = { clock, expireAfter: day, grace: day };
    await collectGarbage({ ...collectionParts(database, store, 30 * day), ...times });
  } finally {
    await Promise.all([database.close(), store.close()]);
  }
}

/** A registry with many rows, whose blobs have no bytes. */
async function large(t: TestContext): Promise<Place> {
  const at = await onDisk(t);
  const source = await openSqlite(join(at.data, 'berth.db'));
  await fillDatabase(source, { manifests: 4_000, tags: 4_000 });
  await source.close();
  return at;
}

test('a killed backup is not taken for a complete one, and the next one succeeds', async (t) => {
  const at = await large(t);
  const to = await temporaryDirectory(t);
  const written = async () => {
    const [partial] = await readdir(to);
    return partial !== undefined && (await readdir(join(to, partial))).length > 1;
  };
  const killed = await interrupt(t, 'SIGKILL', ['backup', to, '--config', at.file], written);
  assert.equal(killed.code, null);
  const left = await readdir(to);
  assert.match(left.join(), /^berth-backup-[^,]*\.partial$/);
  const restored = await berth('restore', to, '--config', (await onDisk(t)).file);
  assert.equal(restored.exitCode, 1);
  assert.match(restored.err, /has no complete backup/);
  assert.match(await succeed(at, 'backup', to, '--keep', '1'), /24160 rows/);
  assert.equal((await readdir(to)).length, 2);
});

test('a backup stopped with Ctrl-C leaves nothing', async (t) => {
  const at = await large(t);
  const to = await temporaryDirectory(t);
  const begun = async () => (await readdir(to)).length > 0;
  const stopped = await interrupt(t, 'SIGINT', ['backup', to, '--config', at.file], begun);
  assert.equal(stopped.code, 1);
  assert.match(stopped.err, /^berth: stopped; the unfinished backup was deleted$/m);
  assert.deepEqual(await readdir(to), []);
});

test('a killed restore is not served, and the same command completes it', async (t) => {
  const at = await large(t);
  const to = await temporaryDirectory(t);
  await succeed(at, 'backup', to);
  const target = await onDisk(t);
  const count = async (): Promise<number> => {
    try {
      using file = new DatabaseSync(join(target.data, 'berth.db'), { readOnly: true });
      return Number(file.prepare('select count(*) as rows from manifests').get()?.rows);
    } catch {
      return 0;
    }
  };
  const begun = async () => (await count()) > 0;
  const killed = await interrupt(t, 'SIGKILL', ['restore', to, '--config', target.file], begun);
  assert.equal(killed.code, null);
  assert.ok((await count()) < 4_000, 'all manifests were restored before the kill');
  await assert.rejects(target.serve(), /unfinished restore: run `berth restore` with the same backup again/);
  assert.match(await succeed(target, 'restore', to), /^restored berth-backup-.*: 24160 rows\n/);
  assert.equal(await count(), 4_000);
  const again = await berth('restore', to, '--config', target.file);
  assert.equal(again.exitCode, 1);
  assert.match(again.err, /is not empty: stop Berth/);
});

test('a registry on files is backed up to a bucket with the credentials of the environment', async (t) => {
  const s3 = await s3Settings(t);
  if (s3 === undefined) return;
  const { data } = await onDisk(t);
  await makeRegistry(data);
  const env = {
    ...{ AWS_ENDPOINT_URL: s3.endpoint, AWS_REGION: s3.region },
    ...{ AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey },
  };
  const to = `s3://${s3.bucket}/berth`;
  const written = await run(process.execPath, [main, 'backup', to, '--blobs', '--data', data], { env });
  assert.match(written, /^berth-backup-.* in s3:\/\/.*\/berth: 0 rows/);
  const [name] = written.split(' ');
  const verified = await run(process.execPath, [main, 'backup', 'verify', `${to}/${name}`], { env });
  assert.match(verified, /0 rows, 0 of 0 blobs/);
});
