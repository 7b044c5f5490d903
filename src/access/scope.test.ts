import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseName } from '../oci/name.ts';
import { asPattern, type Pattern } from './pattern.ts';
import type { Action } from './rights.ts';
import { parseScope, printScope, printScopes, readScopes, rightsInScopes, type Scope } from './scope.ts';

for (const [text, pattern, actions] of [
  ['repository:acme/app:pull', 'acme/app', ['pull']],
  ['repository:acme/**:pull,push', 'acme/**', ['pull', 'push']],
  ['repository:**:*', '**', ['*']],
  ['repository:a:delete,create,pull,push,*', 'a', ['delete', 'create', 'pull', 'push', '*']],
  ['repository:a:pull,push,pull', 'a', ['pull', 'push']],
] as const) {
  test(`parses ${text} as a scope`, () => assert.deepEqual(parseScope(text), { pattern, actions }));
}

for (const [what, text] of [
  ['empty', ''],
  ['no type', 'acme/app:pull'],
  ['no actions', 'repository:acme/app'],
  ['empty list of actions', 'repository:acme/app:'],
  ['empty pattern', 'repository::pull'],
  ['another type', 'registry:catalog:*'],
  ['type with a prefix', 'xrepository:acme/app:pull'],
  ['capitals', 'Repository:acme/app:pull'],
  ['bad pattern', 'repository:Acme:pull'],
  ['unknown action', 'repository:acme/app:pull,pul'],
  ['empty action', 'repository:acme/app:pull,'],
  ['blank', 'repository:acme/app:pull, push'],
  ['a fourth part', 'repository:acme/app:pull:push'],
  ['host with a port', 'repository:host:5000/app:pull'],
  ['line end', 'repository:acme/app:pull\n'],
  ['two scopes', 'repository:a:pull repository:b:pull'],
] as const) {
  test(`rejects a scope: ${what}`, () => assert.equal(parseScope(text), undefined));
}

function scopes(...texts: string[]): Scope[] {
  return texts.map((text) => parseScope(text) as Scope);
}

const someScope = fc.record(
  {
    pattern: fc
      .constantFrom('a', 'acme/app', 'acme/*', 'acme/web-*', '**')
      .map((text) => asPattern(text) as Pattern),
    actions: fc.subarray(['pull', 'create', 'push', 'delete', '*'] satisfies Action[], { minLength: 1 }),
  },
  { noNullPrototype: true },
);

test('scopes that were printed are read back the same', () => {
  fc.assert(
    fc.property(fc.array(someScope), (all) => {
      assert.deepEqual(readScopes(printScopes(all)), all);
      for (const one of all) assert.deepEqual(parseScope(printScope(one)), one);
    }),
  );
});

test('prints scopes as one text, and no scopes as the empty text', () => {
  assert.equal(printScopes([]), '');
  assert.deepEqual(readScopes(''), []);
  const two = scopes('repository:a:pull', 'repository:b/*:pull,push');
  assert.equal(printScopes(two), 'repository:a:pull repository:b/*:pull,push');
  assert.deepEqual(readScopes('repository:a:pull repository:b/*:pull,push'), two);
});

test('throws at an unreadable scope, so that its bound is not lost', () => {
  for (const [text, named] of [
    [' ', '""'],
    ['repository:a:pull ', '""'],
    ['repository:a:pull x', '"x"'],
    ['repository:a:read', '"repository:a:read"'],
  ] as const) {
    assert.throws(() => readScopes(text), { message: `invalid scope in the database: ${named}` });
  }
});

test('the rights in scopes are the union of those that match', () => {
  const given = scopes('repository:acme/**:pull', 'repository:acme/app:push', 'repository:other/app:delete');
  const left = (name: string) => [...rightsInScopes(given, parseName(name))];
  assert.deepEqual(left('acme/app'), ['pull', 'create', 'update']);
  assert.deepEqual(left('acme/x'), ['pull']);
  assert.deepEqual(left('other/app'), ['delete']);
  assert.deepEqual(left('other/x'), []);
  assert.deepEqual([...rightsInScopes([], parseName('acme/app'))], []);
});
