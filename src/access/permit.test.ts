import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allVisible } from '../db/repository-ranges.ts';
import { parseName } from '../oci/name.ts';
import { anonymousCaller } from './caller.ts';
import { openRegistryPermit } from './permit.ts';

test('the permit of an open registry allows everything', () => {
  const { mayPull, ...others } = openRegistryPermit;
  assert.deepEqual(others, {
    caller: anonymousCaller,
    principal: 'anonymous',
    repository: undefined,
    mayCreate: true,
    mayUpdate: true,
    visible: allVisible,
  });
  assert.equal(mayPull({ id: 1, name: parseName('acme/app'), visibility: 'private' }), true);
});
