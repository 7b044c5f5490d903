import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { clientOf } from '../crash/http-client.ts';
import { RawConnection } from '../faults/raw-connection.ts';
import { examine } from '../support/fsck.ts';
import { digestOf } from '../support/inject.ts';
import { type BerthProcess, startBerth } from '../support/process.ts';
import { found, hasOpen, isAlive, workersOf } from './processes.ts';

const args = ['--workers', '2'];
/** More than a worker buffers before it writes. */
const bytes = randomBytes(8 << 20);
const digest = digestOf(bytes);

/** Sends half of a blob; returns its connection, session and the worker that receives it. */
async function beginPush(berth: BerthProcess) {
  const location = await clientOf(berth.url).openUpload('app');
  const { pathname } = new URL(location, berth.url);
  const push = await RawConnection.to(berth.url);
  push.request('PATCH', pathname, { 'content-length': bytes.length, expect: '100-continue' });
  assert.equal((await push.response())?.status, 100);
  push.send(bytes.subarray(0, bytes.length / 2));
  const id = pathname.split('/').at(-1)!;
  const worker = await found('the worker that writes', () =>
    workersOf(berth.pid).find((pid) => hasOpen(pid, `uploads/${id}`)),
  );
  return { push, location, worker };
}

async function assertClean({ data }: BerthProcess): Promise<void> {
  const { findings } = await examine(data);
  assert.deepEqual(
    findings.filter(({ severity }) => severity === 'error'),
    [],
  );
}

/** The sum of all series of a metric. */
async function metric(url: string, name: string, labels = ''): Promise<number> {
  const response = await fetch(`${url}/metrics`);
  assert.equal(response.status, 200);
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(name));
  return lines
    .filter((line) => line.includes(labels))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Sends requests over separate connections until every worker has answered one; returns their number. */
async function requestOfBoth(berth: BerthProcess): Promise<number> {
  let count = 0;
  await found('requests in the log of both workers', async () => {
    assert.equal((await clientOf(berth.url).get('/v2/')).status, 200);
    count += 1;
    return workersInLog(berth).size === 2;
  });
  return count;
}

function workersInLog(berth: BerthProcess): Set<number> {
  return new Set([...berth.output().matchAll(/"worker":(\d+),"requestId"/g)].map(([, id]) => Number(id)));
}

for (const where of ["on the registry's listener", 'on their own']) {
  test(`several workers serve one address; health and metrics ${where} cover all workers`, async (t) => {
    const own = where === 'on their own' ? ['--operations-listen', '127.0.0.1:0'] : [];
    const berth = await startBerth(t, { args: [...args, ...own] });
    const operations = /"operationsUrl":"([^"]+)"/.exec(berth.output())?.[1] ?? berth.url;
    assert.equal(workersOf(berth.pid).length, 2);
    const requests = await requestOfBoth(berth);
    const counted = await metric(operations, 'berth_http_request_duration_seconds_count', 'route="getBase"');
    assert.equal(counted, requests);
    await clientOf(berth.url).openUpload('app');
    assert.equal(await metric(operations, 'berth_uploads_open'), 1, 'reported by every worker');
    for (const path of ['/healthz', '/readyz']) {
      assert.equal((await fetch(`${operations}${path}`)).status, 200);
    }
    if (own.length > 0) assert.equal((await fetch(`${berth.url}/metrics`)).status, 404);
    assert.deepEqual(await berth.stop(), { code: 0, signal: null });
    assert.equal(berth.output().match(/listening on/g)?.length, 1);
    for (const line of berth.output().trim().split('\n')) JSON.parse(line);
  });
}

test('a network at its connection limit leaves room for health, metrics and other networks', async (t) => {
  const berth = await startBerth(t, { args, env: { BERTH_LIMITS_CONNECTIONS_PER_NETWORK: '10' } });
  // More than both workers accept together, however they are distributed.
  const idle = await Promise.all(Array.from({ length: 300 }, () => RawConnection.to(berth.url)));
  const open = () => idle.filter(({ isOpen }) => isOpen).length;
  await found('connections that gave way', () => open() <= 2 * (5 + 64));
  const statusOf = async (path: string, localAddress?: string) => {
    const connection = await RawConnection.to(berth.url, localAddress);
    connection.request('GET', path);
    const response = await connection.response();
    connection.destroy();
    return response?.status;
  };
  for (const path of ['/healthz', '/readyz', '/metrics']) assert.equal(await statusOf(path), 200, path);
  await found('a worker that refuses', async () => (await statusOf('/v2/')) === 429);
  assert.equal(await statusOf('/v2/', '127.0.0.2'), 200);
  for (const connection of idle) connection.destroy();
  assert.deepEqual(await berth.stop(), { code: 0, signal: null });
});

test('all workers serve at once what one has acknowledged', async (t) => {
  const berth = await startBerth(t, { args });
  const client = clientOf(berth.url);
  for (let i = 0; i < 20; i++) {
    const content = `content ${i}`;
    const pushed = await client.pushBlob('app', content);
    const pulls = await Promise.all([1, 2, 3, 4].map(() => client.get(`/v2/app/blobs/${pushed}`)));
    for (const { status, body } of pulls) assert.deepEqual([status, body.toString()], [200, content]);
  }
  await berth.stop();
  await assertClean(berth);
});

test('a worker killed during a push is replaced, and another one continues the push', async (t) => {
  const berth = await startBerth(t, { args });
  const client = clientOf(berth.url);
  const kept = await client.pushBlob('app', 'kept');
  const { push, location, worker } = await beginPush(berth);
  process.kill(worker, 'SIGKILL');
  await push.closed;
  assert.equal((await client.get('/v2/')).status, 200);
  await found('two workers that are ready', async () => (await fetch(`${berth.url}/readyz`)).status === 200);
  assert.ok(!workersOf(berth.pid).includes(worker));
  assert.equal(workersOf(berth.pid).length, 2);
  assert.match(berth.output(), /"worker":\d,"code":null,"signal":"SIGKILL","msg":"a worker died/);

  // Nothing of the broken request was recorded; once the dead worker's lease has expired, the client continues from the start.
  const status = await client.get(location);
  assert.deepEqual([status.status, status.headers.range], [204, '0-0']);
  await found('the end of the lease', async () => (await client.patch(location, bytes)).status === 202);
  assert.equal((await client.finish(location, digest)).status, 201);
  for (const [name, content] of [
    [digest, bytes],
    [kept, Buffer.from('kept')],
  ] as const) {
    assert.ok((await client.get(`/v2/app/blobs/${name}`)).body.equals(content));
  }
  await berth.stop();
  await assertClean(berth);
});

test('all workers killed at once are replaced on the same address', async (t) => {
  const berth = await startBerth(t, { args });
  await clientOf(berth.url).pushBlob('app', 'kept');
  for (const pid of workersOf(berth.pid)) process.kill(pid, 'SIGKILL');
  const answer = await found('an answer', () =>
    clientOf(berth.url)
      .get(`/v2/app/blobs/${digestOf('kept')}`)
      .catch(() => undefined),
  );
  assert.equal(answer.body.toString(), 'kept');
  await berth.stop();
  await assertClean(berth);
});

test('workers end when the primary is killed, and the next server starts at once', async (t) => {
  const berth = await startBerth(t, { args });
  const kept = await clientOf(berth.url).pushBlob('app', 'kept');
  const { push, location } = await beginPush(berth);
  const workers = workersOf(berth.pid);
  await berth.stop('SIGKILL');
  const next = await startBerth(t, { data: berth.data, args });
  assert.deepEqual(workers.filter(isAlive), []);
  await push.closed;
  const client = clientOf(next.url);
  assert.equal((await client.get(`/v2/app/blobs/${kept}`)).body.toString(), 'kept');
  // No wait for a lease: its holder is known to be dead.
  assert.equal((await client.patch(new URL(location, next.url).pathname, bytes)).status, 202);
  await next.stop();
  await assertClean(next);
});

test('a stop lets running transfers of each worker finish', async (t) => {
  const berth = await startBerth(t, { args });
  const pushes: Awaited<ReturnType<typeof beginPush>>[] = [];
  await found('a push at each worker', async () => {
    pushes.push(await beginPush(berth));
    return new Set(pushes.map(({ worker }) => worker)).size === 2;
  });
  const stopped = berth.stop();
  await found('the end of the listener', () =>
    RawConnection.to(berth.url).then(
      (connection) => connection.destroy() as undefined,
      () => true,
    ),
  );
  for (const { push } of pushes) push.send(bytes.subarray(bytes.length / 2));
  for (const { push } of pushes) assert.equal((await push.response())?.status, 202);
  assert.deepEqual(await stopped, { code: 0, signal: null });
});

test('a second signal ends all workers at once', async (t) => {
  const berth = await startBerth(t, { args });
  await beginPush(berth);
  const workers = workersOf(berth.pid);
  process.kill(berth.pid, 'SIGTERM');
  await found('the first signal to be handled', () => /"stopping/.test(berth.output()));
  await found('the second signal to be handled', () => {
    try {
      process.kill(berth.pid, 'SIGTERM');
    } catch {
      return true;
    }
    return !isAlive(berth.pid);
  });
  assert.deepEqual(await berth.exited, { code: 1, signal: null });
  await found('the end of the workers', () => workers.every((pid) => !isAlive(pid)));
});

test('workers that cannot listen end the command with a single error', async (t) => {
  await using other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await assertRefused(
    startBerth(t, { args: [...args, '--listen', `127.0.0.1:${port}`] }),
    `berth: cannot listen on 127.0.0.1:${port}: another program already listens there; stop it or choose another address with --listen`,
  );
});

test('a data directory allows one server, with or without workers', async (t) => {
  const berth = await startBerth(t, { args });
  for (const more of [[], args]) {
    const second = startBerth(t, { data: berth.data, args: more });
    await assertRefused(second, `berth: another berth serves from ${berth.data};`);
  }
  await berth.stop();
  const single = await startBerth(t, { data: berth.data });
  await assertRefused(startBerth(t, { data: berth.data, args }), 'berth: another berth serves');
  await single.stop();
});

/** The error of `startBerth` contains the output of the process. */
async function assertRefused(started: Promise<BerthProcess>, reason: string): Promise<void> {
  const error = (await started.then(
    () => assert.fail('it started'),
    (error: unknown) => error,
  )) as Error;
  assert.match(error.message, /ended with 1 before it was ready/);
  assert.equal(error.message.match(/^berth: /gm)?.length, 1, error.message);
  assert.ok(error.message.includes(reason), error.message);
}
