import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreUnavailable } from '../store-errors.ts';
import { Breaker } from './breaker.ts';

test('after twenty failures in a row calls fail at once for a second; then one more failure is enough', () => {
  let now = 0;
  const breaker = new Breaker(() => now);
  for (let failed = 0; failed < 19; failed++) breaker.failed();
  breaker.check();
  breaker.failed();
  assert.throws(() => breaker.check(), StoreUnavailable);
  now = 1000;
  breaker.check();
  breaker.failed();
  assert.throws(() => breaker.check(), StoreUnavailable);
  now = 2000;
  breaker.succeeded();
  breaker.failed();
  breaker.check();
});
