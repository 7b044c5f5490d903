import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AnonymousAccess, authorizeAnonymous } from './anonymous.ts';

const rights = ['base', 'catalog', 'pull', 'push', 'delete', 'a right of the future'];

/** What each right gets from each setting: nothing thrown, or the code. */
const table: Record<AnonymousAccess, (string | undefined)[]> = {
  none: rights.map(() => 'UNAUTHORIZED'),
  public: Array(5).fill('UNAUTHORIZED'),
  pull: [undefined, undefined, undefined, 'DENIED', 'DENIED', 'DENIED'],
  push: rights.map(() => undefined),
};

for (const access of ['none', 'pull', 'push'] as const) {
  test(`anonymous: ${access} lets through what it says, and no more`, () => {
    for (const [i, right] of rights.entries()) {
      const code = table[access][i];
      if (code === undefined) authorizeAnonymous(access, right);
      else assert.throws(() => authorizeAnonymous(access, right), { code });
    }
  });
}
