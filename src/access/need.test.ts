import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseName } from '../oci/name.ts';
import { catalogScope, isMet, scopeOf } from './need.ts';

const app = parseName('acme/app');

test('a client is told to ask for what Docker asks for', () => {
  const scopes = (['pull', 'create', 'push', 'delete'] as const).map((need) => scopeOf(need, app));
  assert.deepEqual(scopes, [
    'repository:acme/app:pull',
    'repository:acme/app:pull,push',
    'repository:acme/app:pull,push',
    'repository:acme/app:delete',
  ]);
  assert.equal(catalogScope, 'registry:catalog:*');
});

test('who may only move tags is let in to push, and brings no content', () => {
  const rights = new Set(['update'] as const);
  assert.deepEqual([isMet('push', rights), isMet('create', rights)], [true, false]);
});
