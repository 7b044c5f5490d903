import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { isSameSecret, keyedHash } from './secrets.ts';

test('compares secrets of any length byte by byte', () => {
  assert.equal(isSameSecret('secret', 'secret'), true);
  assert.equal(isSameSecret('secret', Buffer.from('secret')), true);
  for (const other of ['', 'secre', 'secrets', 'Secret', 'secre\0']) {
    assert.equal(isSameSecret('secret', other), false, other);
  }
});

test('the keyed hash of a text is stable, and is not its plain hash', () => {
  assert.deepEqual(keyedHash('text'), keyedHash('text'));
  assert.notDeepEqual(keyedHash('text'), keyedHash('texts'));
  assert.notDeepEqual(keyedHash('text'), createHash('sha256').update('text').digest());
});
