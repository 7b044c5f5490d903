import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Role } from '../db/schema.ts';
import {
  type Action,
  allRights,
  asAction,
  intersection,
  noRights,
  type Right,
  rightsOfActions,
  rightsOfRole,
  roles,
  union,
} from './rights.ts';

const all: Right[] = ['pull', 'create', 'update', 'delete', 'settings', 'members'];

test('there are six rights', () => {
  assert.deepEqual([...allRights], all);
  assert.deepEqual([...noRights], []);
});

const ofRoles = {
  read: ['pull'],
  write: ['pull', 'create', 'update'],
  maintain: ['pull', 'create', 'update', 'delete', 'settings'],
  admin: all,
} as const;

test('there are four roles, each with more rights than the one before', () => {
  assert.deepEqual(roles, Object.keys(ofRoles));
  for (const [i, role] of roles.entries()) {
    assert.deepEqual([...rightsOfRole(role)], ofRoles[role]);
    const before: Role | undefined = roles[i - 1];
    if (before !== undefined) assert.ok(rightsOfRole(before).isSubsetOf(rightsOfRole(role)), role);
  }
});

const ofActions: Record<Action, Right[]> = {
  pull: ['pull'],
  create: ['create'],
  push: ['create', 'update'],
  delete: ['delete'],
  '*': ['pull', 'create', 'update', 'delete'],
};

for (const [action, rights] of Object.entries(ofActions) as [Action, Right[]][]) {
  test(`the action ${action} gives ${rights.join(', ')}`, () => {
    assert.equal(asAction(action), action);
    assert.deepEqual([...rightsOfActions([action])], rights);
  });
}

for (const text of ['', 'PULL', 'pull ', 'read', 'update', 'settings', 'constructor', '__proto__', '**']) {
  test(`rejects the action ${JSON.stringify(text)}`, () => assert.equal(asAction(text), undefined));
}

const someRights = fc.uniqueArray(fc.constantFrom(...all)).map((rights) => new Set(rights));

test('union and intersection of rights', () => {
  fc.assert(
    fc.property(fc.array(someRights), someRights, (sets, other) => {
      const together = union(sets);
      const bounded = intersection(together, other);
      for (const right of all) {
        const held = sets.some((rights) => rights.has(right));
        assert.equal(together.has(right), held);
        assert.equal(bounded.has(right), held && other.has(right));
      }
    }),
  );
});

test('several actions give the union of their rights', () => {
  assert.deepEqual([...rightsOfActions([])], []);
  assert.deepEqual([...rightsOfActions(['pull', 'push'])], ['pull', 'create', 'update']);
});
