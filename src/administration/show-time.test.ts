import assert from 'node:assert/strict';
import { test } from 'node:test';
import { showTime } from './show-time.ts';

test('a time is shown in UTC, to the second', () => {
  assert.equal(showTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678)), '2026-01-02T03:04:05Z');
});
