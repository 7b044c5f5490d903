// Moves a registry to PostgreSQL and S3, and back, while clients push.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { clientOf, NoAnswer } from '../crash/http-client.ts';
import { Ledger } from '../crash/ledger.ts';
import { Writer } from '../crash/writer.ts';
import { assertError, type Client } from '../support/inject.ts';
import type { BerthProcess } from '../support/process.ts';
import { assertClean, onDisk, onServers, type Place, succeed } from './places.ts';

interface Writers {
  readonly ledger: Ledger;
  /** Resolves when every writer has been refused. */
  readonly refused: Promise<void>;
}

/** The most milliseconds between two actions of a writer, of which every command sees several. */
const longestRest = 250;

/** Starts several clients that push, tag, mount and delete until they are refused. */
function startWriters(registry: BerthProcess, name: string, ledger: Ledger): Writers {
  const writers = ['one', 'two', 'three'].map((each) =>
    new Writer(`${name}/${each}`, ledger, longestRest).run(untilRefused(clientOf(registry.url))),
  );
  return { ledger, refused: Promise.all(writers).then(() => {}) };
}

/** Ends the client at the first write that the read-only registry refuses, and asserts that the answer gives the reason. */
function untilRefused(client: Client): Client {
  const send = client.send.bind(client);
  client.send = async (...request) => {
    const answer = await send(...request);
    if (answer.status !== 503) return answer;
    assertError(answer, 503, 'UNAVAILABLE');
    assert.match(answer.body.toString(), /read-only: moved to/);
    assert.ok(answer.headers['retry-after']);
    throw new NoAnswer('refused');
  };
  return client;
}

async function acknowledged(ledger: Ledger, count: number): Promise<void> {
  while (ledger.acknowledged < count) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Runs both commands while writers push, until the writers are refused. */
async function move(t: TestContext, from: Place, to: Place, ledger: Ledger): Promise<void> {
  const running = await from.serve();
  const before = ledger.acknowledged;
  const writers = startWriters(running, `from-${before}`, ledger);
  await acknowledged(ledger, before + 40);
  await succeed(from, 'migrate-store', '--to', to.file);
  await succeed(from, 'migrate-db', '--to', to.file);
  const serving = to.serve();
  await assert.rejects(serving, /unfinished copy/);
  await acknowledged(ledger, ledger.acknowledged + 20);
  const copied = await succeed(from, 'migrate-store', '--to', to.file, '--finish');
  assert.match(copied, /every blob is in the new store/);
  const synced = await succeed(from, 'migrate-db', '--to', to.file, '--finish');
  assert.match(synced, /all rows of the databases are the same/);
  await writers.refused;
  t.diagnostic(`${ledger.acknowledged - before} writes were acknowledged, ${ledger.unknown} refused`);

  // The old registry still serves reads.
  await ledger.check(clientOf(running.url), 'everything');
  await running.stop();
  await assertClean(from);
  await assertClean(to);
}

test('a registry under constant pushes moves to PostgreSQL and S3 and back and loses nothing', async (t) => {
  const disk = await onDisk(t);
  const servers = await onServers(t);
  if (servers === undefined) return;
  const ledger = new Ledger();

  await move(t, disk, servers, ledger);
  const there = await servers.serve();
  await ledger.check(clientOf(there.url), 'everything');
  await there.stop();

  // The first directory is read-only and lacks the pushes since the first move.
  await move(t, servers, disk, ledger);
  const back = await disk.serve();
  const client = clientOf(back.url);
  await ledger.check(client, 'everything');
  await client.pushImage('new', 'latest');
  await assertClean(disk);
});
