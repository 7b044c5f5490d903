// Clients request large answers and read none of them: other clients are served meanwhile, and memory is bounded.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { digestsOf, insertManifests } from '../support/crowd.ts';
import { Client, indexOf, refer } from '../support/inject.ts';
import { longestTurnOf, totalOf } from '../support/main-thread.ts';
import { testRegistry } from '../support/registry.ts';
import { RawConnection, type RawResponse } from './raw-connection.ts';

const connections = 200;
/** CPU milliseconds of the main thread in one turn, including this test's clients and JavaScript garbage collection. */
const longestTurn = 150;

/** With SQLite, which does its work on this thread. */
async function setUp(t: TestContext) {
  const { app, database } = await testRegistry(t, { anonymous: 'push' }, async () => ({}));
  return { client: new Client(app.http), database, url: (await app.listen()).url };
}

/** Sends requests on many connections that read nothing. */
async function askUnread(t: TestContext, url: string, pathsOf: (i: number) => readonly string[]) {
  const opened = await Promise.all(Array.from({ length: connections }, () => RawConnection.to(url)));
  for (const [i, connection] of opened.entries()) {
    t.after(() => connection.destroy());
    connection.socket.pause();
    for (const path of pathsOf(i)) connection.request('GET', path);
  }
  return opened;
}

async function ask(url: string, path: string): Promise<RawResponse | undefined> {
  const connection = await RawConnection.to(url);
  connection.request('GET', path);
  const response = await connection.response();
  connection.destroy();
  return response;
}

async function askPage(url: string, path: string): Promise<void> {
  const page = await ask(url, path);
  assert.equal(page?.status, 200);
  assert.ok(page.body.length > 3 << 20, `${page.body.length} bytes`);
}

test('hundreds of requests for an expensive list do not delay others, and aborted ones cost nothing', async (t) => {
  const { client, database, url } = await setUp(t);
  const subject = await client.pushImage('acme/app');
  await insertManifests(database, {
    repository: 'acme/app',
    digests: digestsOf('referrer', 8_000),
    subject: subject.digest,
    annotations: JSON.stringify({ text: 'x'.repeat(300) }),
  });
  const path = `/v2/acme/app/referrers/${subject.digest}`;
  const one = await totalOf(() => askPage(url, path));
  let [untilHealth, untilPage] = [0, 0];
  const turn = await longestTurnOf(async () => {
    const unread = await askUnread(t, url, () => [path]);
    untilHealth = await totalOf(async () => assert.equal((await ask(url, '/healthz'))?.status, 200));
    for (const connection of unread) connection.destroy();
    untilPage = await totalOf(() => askPage(url, path));
  });
  const figures = `one page ${one} ms, health after ${untilHealth} ms, a page after ${untilPage} ms, ${turn} ms in one turn`;
  t.diagnostic(figures);
  assert.ok(turn <= longestTurn, figures);
  // All of them would take 200 times as long as one.
  assert.ok(untilHealth <= 40 * one, figures);
  assert.ok(untilPage <= 40 * one, figures);
});

test('hundreds of clients that read none of their large answers use bounded memory, and a client that reads is served', async (t) => {
  const { client, url } = await setUp(t);
  const subject = await client.pushImage('acme/app');
  for (let i = 0; i < 11; i++) {
    const annotations = { text: randomBytes(170_000).toString('hex') };
    await client.pushManifest('acme/app', indexOf([], { subject: refer(subject), annotations }));
  }
  const page = `/v2/acme/app/referrers/${subject.digest}`;
  const manifests: string[] = [];
  // More than the manifest cache holds.
  for (let i = 0; i < 20; i++) {
    const annotations = { text: randomBytes(1_900_000).toString('hex') };
    const { digest } = await client.pushManifest('acme/app', indexOf([], { annotations }));
    manifests.push(`/v2/acme/app/manifests/${digest}`);
  }
  const before = process.memoryUsage.rss();
  let grown = 0;
  const sampling = setInterval(() => {
    grown = Math.max(grown, process.memoryUsage.rss() - before);
  }, 10);
  t.after(() => clearInterval(sampling));
  // Socket buffers hold about one answer of each connection.
  const turn = await longestTurnOf(async () => {
    await askUnread(t, url, (i) => [page, manifests[i % manifests.length] as string]);
    await askPage(url, page);
    await askPage(url, manifests[0] as string);
  });
  const figures = `${Math.round(grown / 1e6)} MB, ${turn} ms in one turn`;
  t.diagnostic(figures);
  assert.ok(turn <= longestTurn, figures);
  // 128 MiB of answers, the manifest cache, lists in progress, and JavaScript garbage.
  assert.ok(grown <= 500e6, figures);
});
