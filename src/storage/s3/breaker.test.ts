import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreUnavailable } from '../store-errors.ts';
import { Breaker } from './breaker.ts';

test('rejects calls for a second after twenty failures in a row, and again after one more failure', () => {
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
