import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HashQueue, type HashQueueLimits } from './hash-queue.ts';

/** A queue whose jobs run until the test calls `endOne`; the other jobs end with the test. */
function setUp(t: TestContext, limits?: HashQueueLimits) {
  const queue = new HashQueue(limits);
  const running: { name: string; end: () => void }[] = [];
  const started: string[] = [];
  const ask = (address: string, name = address) => {
    const result = queue.run(address, () => {
      started.push(name);
      return new Promise<string>((resolve) => running.push({ name, end: () => resolve(name) }));
    });
    result.catch(() => {});
    return result;
  };
  const endOne = async () => {
    running.shift()?.end();
    await new Promise(setImmediate);
  };
  t.after(async () => {
    while (running.length > 0) await endOne();
  });
  return { queue, started, ask, endOne };
}

const refused = { code: 'UNAVAILABLE', detail: 'too many logins at once', retryAfter: 10 };

test('jobs run one at a time, and their results are returned', async (t) => {
  const { started, ask, endOne } = setUp(t);
  const first = ask('a');
  const second = ask('b');
  assert.deepEqual(started, ['a']);
  await endOne();
  assert.deepEqual(started, ['a', 'b']);
  await endOne();
  assert.deepEqual(await Promise.all([first, second]), ['a', 'b']);
});

test('as many jobs run at once as allowed', (t) => {
  const { started, ask } = setUp(t, { atOnce: 2 });
  for (const address of ['a', 'b', 'c']) ask(address);
  assert.deepEqual(started, ['a', 'b']);
});

test('addresses take turns: a single job waits for one job of each other address', async (t) => {
  const { queue, started, ask, endOne } = setUp(t);
  for (let i = 0; i < 5; i++) ask('flood', `flood ${i}`);
  ask('a');
  ask('b', 'b 0');
  ask('b', 'b 1');
  for (let i = 0; i < 8; i++) await endOne();
  assert.deepEqual(started, ['flood 0', 'flood 1', 'a', 'b 0', 'flood 2', 'b 1', 'flood 3', 'flood 4']);
  assert.equal(queue.waiting, 0);
});

test('a job beyond the maximum is refused at once, with a time to retry', async (t) => {
  const { queue, ask } = setUp(t, { waiting: 2 });
  ask('a');
  ask('a');
  ask('a');
  await assert.rejects(ask('a'), refused);
  assert.equal(queue.waiting, 2);
});

test('a full queue makes room by refusing the last job of the address with the most waiting jobs', async (t) => {
  const { started, ask, endOne } = setUp(t, { waiting: 3 });
  ask('flood', 'flood 0');
  const waiting = [1, 2, 3].map((i) => ask('flood', `flood ${i}`));
  ask('a');
  await assert.rejects(waiting[2] as Promise<string>, refused);
  const second = ask('a', 'a 1');
  await assert.rejects(second, refused, 'equal numbers of waiting logins displace none');
  for (let i = 0; i < 5; i++) await endOne();
  assert.deepEqual(started, ['flood 0', 'flood 1', 'a', 'flood 2']);
});

test('if no job may wait, a job that cannot run at once is refused', async (t) => {
  const { ask } = setUp(t, { waiting: 0 });
  ask('a');
  await assert.rejects(ask('b'), refused);
});

test('if several addresses have the most waiting jobs, a full queue refuses the last job of the one whose turn is next', async (t) => {
  const { ask } = setUp(t, { waiting: 6 });
  ask('x');
  const waiting = ['a', 'b', 'b', 'b', 'c', 'c'].map((address) => ask(address));
  ask('d');
  await assert.rejects(waiting[3] as Promise<string>, refused);
  ask('e');
  await assert.rejects(waiting[2] as Promise<string>, refused);
});

test('the timeout of a refused job affects no other job', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { queue, ask, endOne } = setUp(t, { waiting: 2, longestWait: 3000 });
  for (let i = 0; i < 3; i++) ask('flood', `flood ${i}`);
  ask('a');
  for (let i = 0; i < 2; i++) await endOne();
  t.mock.timers.tick(1000);
  for (let i = 3; i < 5; i++) ask('flood', `flood ${i}`);
  t.mock.timers.tick(2000);
  assert.equal(queue.waiting, 2);
});

test('no job waits longer than the limit', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { queue, started, ask, endOne } = setUp(t, { longestWait: 3000 });
  ask('a');
  const waiting = ask('b');
  t.mock.timers.tick(2999);
  assert.equal(queue.waiting, 1);
  t.mock.timers.tick(1);
  await assert.rejects(waiting, { code: 'UNAVAILABLE', retryAfter: 3 });
  assert.equal(queue.waiting, 0);
  await endOne();
  ask('c');
  assert.deepEqual(started, ['a', 'c']);
});

test('a job that ran in time is not refused later', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { ask, endOne } = setUp(t, { longestWait: 3000 });
  ask('a');
  const second = ask('b');
  await endOne();
  t.mock.timers.tick(5000);
  await endOne();
  assert.equal(await second, 'b');
});

test('a failed job rejects its own caller, and the next one runs', async () => {
  const queue = new HashQueue();
  const failing = queue.run('a', () => Promise.reject(new Error('broken')));
  const next = queue.run('b', async () => 'done');
  await assert.rejects(failing, /broken/);
  assert.equal(await next, 'done');
});
