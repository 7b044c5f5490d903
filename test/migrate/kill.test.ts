// A migration is killed at any point and run again.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPostgres } from '../../src/db/postgres/postgres.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { openS3Store } from '../../src/storage/s3/s3.ts';
import { clientOf } from '../crash/http-client.ts';
import { berth } from '../support/berth.ts';
import { cleanUp } from '../support/cleanup.ts';
import { needs } from '../support/needs.ts';
import { openTestPostgres } from '../support/postgres.ts';
import { s3Settings } from '../support/s3.ts';
import { interrupt } from './interrupt.ts';
import { fillDatabase } from './large.ts';
import { assertClean, bucket, database, onDisk, type Place, place, succeed } from './places.ts';

const command = (name: string, from: Place, to: Place): string[] => [
  name,
  '--config',
  from.file,
  '--to',
  to.file,
];

test('a store migration can be completed after a kill and a Ctrl-C', async (t) => {
  const s3 = await s3Settings(t);
  if (s3 === undefined) return;
  const from = await onDisk(t);
  const running = await from.serve();
  const client = clientOf(running.url);
  const count = 150;
  for (let i = 0; i < count; i++) await client.pushBlob('app', randomBytes(32 << 10));
  await client.pushImage('app', 'latest');
  await running.stop();
  const to = await place(t, bucket(s3));
  const target = await openS3Store(s3);
  cleanUp(t, () => target.close());
  const there = async () => (await Array.fromAsync(target.list())).length;

  const killed = await interrupt(
    t,
    'SIGKILL',
    command('migrate-store', from, to),
    async () => (await there()) > 10,
  );
  assert.equal(killed.code, null);
  const first = await there();
  const stopped = await interrupt(
    t,
    'SIGINT',
    command('migrate-store', from, to),
    async () => (await there()) > first + 10,
  );
  assert.equal(stopped.code, 1);
  assert.match(
    stopped.err,
    /^berth: stopped; copied (?:rows|blobs) are kept: run the same command again to continue$/m,
  );
  const second = await there();
  assert.ok(first > 0 && first < second && second < count, `${first}, ${second} of ${count} were there`);

  const { out } = await berth(...command('migrate-store', from, to), '--finish', '--json');
  const result = JSON.parse(out.trim().split('\n').at(-1)!) as { blobs: number; copied: number };
  assert.equal(result.blobs, count + 2);
  assert.ok(result.copied <= count + 2 - second, `${result.copied} were copied after ${second}`);
  // Checks the old rows with the new store's bytes.
  const { exitCode, out: checked } = await berth(
    'fsck',
    '--read-data',
    '--data',
    from.data,
    '--config',
    to.file,
  );
  assert.equal(exitCode, 0, checked);
});

test('a killed database migration is not served, and can be completed', async (t) => {
  if (!needs(t, 'postgres')) return;
  const from = await onDisk(t);
  // The first start ties the store to this database; without it, the store could belong to any database.
  await (await from.serve()).stop();
  const source = await openSqlite(join(from.data, 'berth.db'));
  await fillDatabase(source, { manifests: 5_000, tags: 5_000 });
  await source.close();
  const url = await openTestPostgres(t);
  const to = await place(t, database(url), from.data);
  const target = await openPostgres({ url, poolSize: 2 });
  cleanUp(t, () => target.close());
  const count = async () =>
    Number(
      (
        await target.read
          .selectFrom('manifests')
          .select(({ fn }) => fn.countAll().as('n'))
          .executeTakeFirst()
      )?.n,
    );

  const killed = await interrupt(
    t,
    'SIGKILL',
    command('migrate-db', from, to),
    async () => (await count()) > 0,
  );
  assert.equal(killed.code, null);
  const there = await count();
  assert.ok(there < 5_000, `all ${there} manifests were copied before the kill`);
  await assert.rejects(to.serve(), /the database is an unfinished copy: run `berth migrate-db --finish`/);
  await succeed(from, 'migrate-db', '--to', to.file, '--finish');
  assert.equal(await count(), 5_000);
  const { out } = await berth('fsck', '--config', to.file);
  // Only the blobs' bytes are missing, which these rows never had.
  const [other] = out
    .split('\n')
    .filter((line) => line.startsWith('error: ') && !line.startsWith('error: blob '));
  assert.equal(other, undefined);
  assert.match(out, /5000 links, 5000 manifests, 5000 tags/);
  await (await to.serve()).stop();
});

test('a registry left read-only by a kill can be made writable again, or its move completed', async (t) => {
  const from = await onDisk(t);
  const running = await from.serve();
  const client = clientOf(running.url);
  await client.pushImage('app', 'latest');
  const to = await onDisk(t);
  await succeed(from, 'migrate-db', '--to', to.file);
  await succeed(from, 'read-only', 'on', '--reason', 'moved to somewhere');
  assert.equal((await client.send('POST', '/v2/app/blobs/uploads/')).status, 503);
  await succeed(from, 'read-only', 'off');
  await client.pushImage('app', 'second');
  await succeed(from, 'read-only', 'on', '--reason', 'moved to somewhere');
  await succeed(from, 'migrate-store', '--to', to.file, '--finish');
  await succeed(from, 'migrate-db', '--to', to.file, '--finish');
  const there = clientOf((await to.serve()).url);
  assert.deepEqual(await there.tags('app'), ['latest', 'second']);
  await assertClean(to);
});
