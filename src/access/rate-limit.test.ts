import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from './rate-limit.ts';

function setUp(perMinute: number, capacity?: number) {
  const time = { now: 1_000_000 };
  const limit = new RateLimit({ perMinute, clock: () => time.now, ...(capacity && { capacity }) });
  const fail = (key: string, times: number): void => {
    for (let i = 0; i < times; i++) limit.count(key);
  };
  return { time, limit, fail };
}

for (const perMinute of [1, 7, 10, 30, 1_000_000]) {
  test(`after ${perMinute} events at once a key waits, and then gets one at a time`, () => {
    const { time, limit, fail } = setUp(perMinute);
    fail('a', perMinute - 1);
    assert.equal(limit.wait('a'), 0);
    fail('a', 1);
    const wait = limit.wait('a');
    assert.equal(wait, Math.ceil(60 / perMinute));
    assert.equal(limit.wait('b'), 0);
    time.now += wait * 1000;
    assert.equal(limit.wait('a'), 0, 'the wait ends after the given time');
  });
}

test('a key without events is forgotten after a minute', () => {
  const { time, limit, fail } = setUp(10);
  fail('a', 10);
  time.now += 60_000;
  limit.count('b');
  assert.equal(limit.size, 1);
  assert.equal(limit.wait('a'), 0);
});

test('over a long time a key gets exactly its limit', () => {
  const { time, limit } = setUp(10);
  let failures = 0;
  for (let second = 0; second < 600; second++) {
    while (limit.wait('a') === 0) {
      limit.count('a');
      failures += 1;
    }
    time.now += 1000;
  }
  assert.equal(failures, 10 + 99);
});

test('keys beyond the capacity evict the oldest', () => {
  const { limit, fail } = setUp(1, 1000);
  for (let i = 0; i < 1_000_000; i++) limit.count(`${i}`);
  assert.equal(limit.size, 1000);
  assert.equal(limit.wait('999999'), 60);
  fail('a', 1);
  assert.equal(limit.wait('999001'), 60);
  assert.equal(limit.wait('999000'), 0);
});

test('a key with frequent events is not evicted first', () => {
  const { limit, fail } = setUp(1, 2);
  for (const key of ['a', 'b', 'a', 'c']) fail(key, 1);
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => limit.wait(key) > 0),
    [true, false, true],
  );
});

test('an event of a new key costs no more when the limit is full', () => {
  const { limit } = setUp(1, 100_000);
  for (let i = 0; i < 100_000; i++) limit.count(`${i}`);
  const before = process.cpuUsage();
  for (let i = 100_000; i < 200_000; i++) limit.count(`${i}`);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 1_000_000, `100,000 events took ${user + system} µs of CPU`);
});

test('after a flood each event removes some of its keys', () => {
  const { time, limit } = setUp(10);
  for (let i = 0; i < 1_000; i++) limit.count(`${i}`);
  time.now += 60_000;
  limit.count('a');
  assert.ok(limit.size > 500, 'no event removes all');
  for (let i = 0; i < 20; i++) limit.count('a');
  assert.equal(limit.size, 1);
});
