import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allVisible } from '../db/repository-ranges.ts';
import { parseName } from '../oci/name.ts';
import { everything } from './permit.ts';

test('in a registry that is open to everyone, everyone may do everything', () => {
  const { mayPull, ...others } = everything;
  assert.deepEqual(others, {
    principal: 'anonymous',
    repository: undefined,
    mayCreate: true,
    mayUpdate: true,
    visible: allVisible,
  });
  assert.equal(mayPull({ id: 1, name: parseName('acme/app'), visibility: 'private' }), true);
});
