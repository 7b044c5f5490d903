// Tests which requests are cut as slow, with a fake clock and fake connections. Real ones are in test/faults/slow-clients.test.ts.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { onStalled, StalledRequests } from './stalled-requests.ts';

const idleTimeout = 1_000;

class Connection extends EventEmitter {
  bytesRead = 0;
  destroyed = false;
  readonly _handle = { bytesWritten: 0, writeQueueSize: 0 };

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function setUp(t: TestContext, minimumRate: number) {
  let now = 0;
  t.mock.timers.enable({ apis: ['setInterval'] });
  t.mock.method(performance, 'now', () => now);
  const stalled = new StalledRequests({ idleTimeout, minimumRate });
  t.after(() => stalled.close());
  const request = (connection: Connection, state: 'body' | 'working' | 'reader') => {
    const reading = state === 'body';
    const req = { socket: connection, complete: !reading, readableFlowing: reading };
    const response = {
      req,
      socket: connection,
      writableLength: state === 'reader' ? 1 : 0,
      writableFinished: false,
    };
    stalled.watch(req as unknown as IncomingMessage, response as unknown as ServerResponse);
    return response;
  };
  return {
    stalled,
    request,
    pass(milliseconds: number, each = () => {}) {
      for (let i = 0; i < milliseconds; i += 25) {
        now += 25;
        each();
        t.mock.timers.tick(25);
      }
    },
  };
}

test('a body that stops is cut after 1 to 1.25 times the idle time', (t) => {
  const { stalled, request, pass } = setUp(t, 0);
  const connection = new Connection();
  request(connection, 'body');
  pass(idleTimeout - 25);
  assert.equal(connection.destroyed, false);
  pass(idleTimeout / 4 + 25);
  assert.equal(connection.destroyed, true);
  assert.equal(stalled.size, 0);
});

test('an answer that the client stops reading is cut, even within a single write', (t) => {
  const { request, pass } = setUp(t, 100);
  const connection = new Connection();
  connection._handle.bytesWritten = 1 << 20;
  connection._handle.writeQueueSize = 1 << 20;
  request(connection, 'reader');
  pass(10 * idleTimeout, () => {
    connection._handle.writeQueueSize -= 5;
  });
  assert.equal(connection.destroyed, false);
  pass(2 * idleTimeout);
  assert.equal(connection.destroyed, true);
});

for (const [minimumRate, bytes, every, cut] of [
  [0, 1, 0.8, false],
  [100, 9, 0.1, true],
  [100, 11, 0.1, false],
  [100, 120, 1, false],
] as const) {
  const what = `${bytes} bytes every ${every * idleTimeout} ms are ${cut ? 'too few' : 'enough'}`;
  test(`at a minimum rate of ${minimumRate} bytes a second, ${what}`, (t) => {
    const { request, pass } = setUp(t, minimumRate);
    const connection = new Connection();
    request(connection, 'body');
    for (let i = 0; i < 50; i++) {
      connection.bytesRead += bytes;
      pass(every * idleTimeout);
    }
    assert.equal(connection.destroyed, cut);
  });
}

test('a thread that was busy for longer than the idle time cuts no request', (t) => {
  const { request, pass } = setUp(t, 0);
  const connection = new Connection();
  request(connection, 'body');
  pass(0.5 * idleTimeout);
  t.mock.method(performance, 'now', () => 100 * idleTimeout);
  t.mock.timers.tick(idleTimeout / 8);
  assert.equal(connection.destroyed, false);
});

test('a request is not cut while Berth works on it, and then has the whole idle time', (t) => {
  const { request, pass } = setUp(t, 0);
  const connection = new Connection();
  const response = request(connection, 'working');
  pass(5 * idleTimeout);
  Object.assign(response.req, { complete: false, readableFlowing: true });
  pass(0.9 * idleTimeout);
  // The body is paused while the disk is slow.
  response.req.readableFlowing = false;
  pass(5 * idleTimeout);
  response.req.readableFlowing = true;
  pass(0.9 * idleTimeout);
  assert.equal(connection.destroyed, false);
  pass(0.5 * idleTimeout);
  assert.equal(connection.destroyed, true);
});

test('each request of a connection has its own idle time, and a connection without a request is not cut', (t) => {
  const { stalled, request, pass } = setUp(t, 0);
  const connection = new Connection();
  for (let i = 0; i < 10; i++) {
    const response = request(connection, 'body');
    pass(0.9 * idleTimeout);
    response.writableFinished = true;
  }
  pass(10 * idleTimeout);
  assert.deepEqual([connection.destroyed, stalled.currentOf(connection as never)], [false, undefined]);
  request(connection, 'reader');
  pass(1.5 * idleTimeout);
  assert.equal(connection.destroyed, true);
});

test('a request queued behind another is not cut', (t) => {
  const { request, pass } = setUp(t, 0);
  const connection = new Connection();
  const first = request(connection, 'working');
  const second = request(connection, 'reader') as { socket: Connection | null };
  second.socket = null;
  pass(5 * idleTimeout);
  assert.equal(connection.destroyed, false);
  first.writableFinished = true;
  second.socket = connection;
  pass(1.5 * idleTimeout);
  assert.equal(connection.destroyed, true);
});

test('onStalled calls back once for a stalled body; if the request still stalls, its connection is cut', (t) => {
  const { request, pass } = setUp(t, 0);
  const connections = [new Connection(), new Connection(), new Connection()];
  const told: string[] = [];
  const forget = connections.map((connection, i) => {
    const { req } = request(connection, 'body');
    return onStalled(req as unknown as IncomingMessage, ({ code }) => told.push(`${i} ${code}`));
  });
  forget[2]?.();
  pass(1.5 * idleTimeout);
  assert.deepEqual(told, ['0 REQUEST_TIMEOUT', '1 REQUEST_TIMEOUT']);
  assert.deepEqual(
    connections.map(({ destroyed }) => destroyed),
    [false, false, true],
  );
  pass(1.5 * idleTimeout);
  assert.equal(told.length, 2);
  assert.ok(connections.every(({ destroyed }) => destroyed));
});
