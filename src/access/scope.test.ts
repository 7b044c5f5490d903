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
  test(`a scope: ${text}`, () => assert.deepEqual(parseScope(text), { pattern, actions }));
}

for (const [what, text] of [
  ['nothing', ''],
  ['without a type', 'acme/app:pull'],
  ['without actions', 'repository:acme/app'],
  ['with no action', 'repository:acme/app:'],
  ['with no pattern', 'repository::pull'],
  ['of another type', 'registry:catalog:*'],
  ['of another type at the end of the word', 'xrepository:acme/app:pull'],
  ['in capitals', 'Repository:acme/app:pull'],
  ['with a bad pattern', 'repository:Acme:pull'],
  ['with an unknown action', 'repository:acme/app:pull,pul'],
  ['with an empty action', 'repository:acme/app:pull,'],
  ['with a blank', 'repository:acme/app:pull, push'],
  ['with a part too many', 'repository:acme/app:pull:push'],
  ['with a port', 'repository:host:5000/app:pull'],
  ['with a line end', 'repository:acme/app:pull\n'],
  ['two', 'repository:a:pull repository:b:pull'],
] as const) {
  test(`no scope: ${what}`, () => assert.equal(parseScope(text), undefined));
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

test('what is kept is read back the same', () => {
  fc.assert(
    fc.property(fc.array(someScope), (all) => {
      assert.deepEqual(readScopes(printScopes(all)), all);
      for (const one of all) assert.deepEqual(parseScope(printScope(one)), one);
    }),
  );
});

test('scopes are kept as one text, and none as none', () => {
  assert.equal(printScopes([]), '');
  assert.deepEqual(readScopes(''), []);
  const two = scopes('repository:a:pull', 'repository:b/*:pull,push');
  assert.equal(printScopes(two), 'repository:a:pull repository:b/*:pull,push');
  assert.deepEqual(readScopes('repository:a:pull repository:b/*:pull,push'), two);
});

test('scopes that cannot be read are no bound that is missing: reading them fails', () => {
  for (const [text, named] of [
    [' ', '""'],
    ['repository:a:pull ', '""'],
    ['repository:a:pull x', '"x"'],
    ['repository:a:read', '"repository:a:read"'],
  ] as const) {
    assert.throws(() => readScopes(text), { message: `the database has ${named} for a scope` });
  }
});

test('what scopes leave is what those that match leave together', () => {
  const given = scopes('repository:acme/**:pull', 'repository:acme/app:push', 'repository:other/app:delete');
  const left = (name: string) => [...rightsInScopes(given, parseName(name))];
  assert.deepEqual(left('acme/app'), ['pull', 'create', 'update']);
  assert.deepEqual(left('acme/x'), ['pull']);
  assert.deepEqual(left('other/app'), ['delete']);
  assert.deepEqual(left('other/x'), []);
  assert.deepEqual([...rightsInScopes([], parseName('acme/app'))], []);
});
