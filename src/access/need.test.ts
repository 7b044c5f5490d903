import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseName } from '../oci/name.ts';
import { catalogScope, isMet, neededScope } from './need.ts';

const app = parseName('acme/app');

test('the needed scopes are those that Docker asks for', () => {
  const scopes = (['pull', 'create', 'push', 'delete'] as const).map((need) => neededScope(need, app));
  assert.deepEqual(scopes, [
    'repository:acme/app:pull',
    'repository:acme/app:pull,push',
    'repository:acme/app:pull,push',
    'repository:acme/app:delete',
  ]);
  assert.equal(catalogScope, 'registry:catalog:*');
});

test('the right to update meets the need to push, but not to create', () => {
  const rights = new Set(['update'] as const);
  assert.deepEqual([isMet('push', rights), isMet('create', rights)], [true, false]);
});
