import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rate } from './rate.ts';

/** How many of `times` attempts at `now` go through. */
function taken(rate: Rate, key: string, now: number, times: number): number {
  let count = 0;
  for (let i = 0; i < times; i++) if (rate.take(key, now) === 0) count += 1;
  return count;
}

for (const perMinute of [1, 7, 60, 10_000]) {
  test(`${perMinute} a minute are ${perMinute} at once, then none until their time has come, then as many in each minute`, () => {
    const rate = new Rate(perMinute);
    assert.equal(taken(rate, 'a', 1_000, perMinute + 10), perMinute);
    const wait = rate.take('a', 1_000);
    assert.equal(wait, Math.ceil(60 / perMinute));
    assert.equal(rate.take('a', 1_000 + wait * 1_000), 0);
    let count = 0;
    for (let now = 100_000; now < 100_000 + 10 * 60_000; now += 10) count += taken(rate, 'a', now, 2);
    assert.ok(Math.abs(count - perMinute - 10 * perMinute) <= 2, `${count} in ten minutes and a first burst`);
  });
}

test('who asks again and again without success does not wait the longer for it', () => {
  const rate = new Rate(60);
  taken(rate, 'a', 0, 60);
  taken(rate, 'a', 500, 10_000);
  assert.equal(rate.take('a', 1_000), 0);
});

test('each key has its own', () => {
  const rate = new Rate(1);
  assert.equal(rate.take('a', 0), 0);
  assert.equal(rate.take('b', 0), 0);
  assert.equal(rate.take('a', 0), 60);
});

test('of more keys than are kept, the one that was quiet the longest is forgotten', () => {
  const rate = new Rate(2);
  taken(rate, 'quiet', 0, 2);
  rate.take('busy', 0);
  for (let i = 0; i < 99_998; i++) rate.take(`other ${i}`, 0);
  rate.take('busy', 0);
  rate.take('one more', 0);
  assert.equal(rate.take('busy', 0), 30);
  assert.equal(rate.take('quiet', 0), 0);
});
