import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asName } from '../../oci/name.ts';
import { asAction } from '../rights.ts';
import { parseAsked } from './docker-scope.ts';

type Repositories = Readonly<Record<string, readonly string[]>>;

function asked(...parameters: string[]): { repositories: Repositories; catalog: boolean } {
  const { repositories, catalog } = parseAsked(parameters);
  return { repositories: Object.fromEntries(repositories), catalog };
}

const understood: [what: string, parameters: string[], repositories: Repositories][] = [
  ['nothing', [], {}],
  ['empty parameters', ['', ' ', '  '], {}],
  ['one action', ['repository:acme/app:pull'], { 'acme/app': ['pull'] }],
  ['several actions', ['repository:acme/app:pull,push'], { 'acme/app': ['pull', 'push'] }],
  [
    'every action',
    ['repository:a:pull,push,create,delete,*'],
    { a: ['pull', 'push', 'create', 'delete', '*'] },
  ],
  ['an action twice', ['repository:a:pull,pull'], { a: ['pull'] }],
  ['unknown actions', ['repository:a:pull,fly,,toString,__proto__'], { a: ['pull'] }],
  ['no action', ['repository:a:'], { a: [] }],
  ['repeated parameters', ['repository:a:pull', 'repository:b:push'], { a: ['pull'], b: ['push'] }],
  ['spaces between scopes', ['repository:a:pull  repository:b:push '], { a: ['pull'], b: ['push'] }],
  [
    'repeated parameters with several scopes',
    ['repository:a:pull repository:b:pull', 'repository:c:pull'],
    { a: ['pull'], b: ['pull'], c: ['pull'] },
  ],
  [
    'a name twice',
    ['repository:a:pull', 'repository:b:pull repository:a:push,pull'],
    { a: ['pull', 'push'], b: ['pull'] },
  ],
  ['a class of repositories', ['repository(plugin):a:pull'], {}],
  ['an empty class', ['repository():a:pull'], {}],
  ['a type in capitals', ['Repository:a:pull'], {}],
  ['another type', ['artifact:a:pull'], {}],
  ['a type and a letter, without a colon', ['repositoryx', 'registryx'], {}],
  ['no type', [':a:pull', 'a:pull', 'pull', ':', '::', 'repository', 'repository:', 'repository:a'], {}],
  ['no name', ['repository::pull'], {}],
  ['a name with a port', ['repository:localhost:5000/a:pull'], {}],
  ['one colon too many', ['repository:a:pull:push'], {}],
  ['a name with ..', ['repository:a/../b:pull'], {}],
  ['a name in capitals', ['repository:Acme:pull'], {}],
  ['a pattern', ['repository:acme/*:pull', 'repository:**:pull'], {}],
  ['a name of 256 characters', [`repository:${'a'.repeat(256)}:pull`], {}],
  ['a name that is a property of Object', ['repository:__proto__:pull'], {}],
  ['other white space', ['repository:a:pull\trepository:b:pull', 'repository:a:pull\n'], { a: [] }],
];

for (const [what, parameters, repositories] of understood) {
  test(`parses ${what}`, () => assert.deepEqual(asked(...parameters), { repositories, catalog: false }));
}

test('the catalog needs its name and all actions', () => {
  assert.equal(asked('registry:catalog:*').catalog, true);
  assert.equal(asked('repository:a:pull registry:catalog:*').catalog, true);
  assert.equal(asked('registry:catalog:pull,*').catalog, true);
  for (const other of [
    'registry:catalog:pull',
    'registry:catalog:',
    'registry:other:*',
    'registry(x):catalog:*',
  ]) {
    assert.equal(asked(other).catalog, false, other);
  }
});

test('throws at more than 100 scopes or 8 KiB', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => `repository:a${i}:pull`);
  assert.equal(parseAsked(many(100)).repositories.size, 100);
  assert.equal(parseAsked([many(100).join(' ')]).repositories.size, 100);
  const tooMany = { name: 'TooManyScopes', message: 'more than 100 scopes for one token' };
  assert.throws(() => parseAsked(many(101)), tooMany);
  assert.throws(() => parseAsked([many(101).join(' ')]), tooMany);
  assert.throws(() => parseAsked(Array(101).fill('repository:a:pull')), tooMany, 'repeated scopes count too');
  assert.equal(
    parseAsked([many(100).join('  '), ' '.repeat(101)]).repositories.size,
    100,
    'empty scopes do not count',
  );
  parseAsked(['x'.repeat(4_096), 'x'.repeat(4_096)]);
  const tooLong = { name: 'TooManyScopes', message: 'the scopes have more than 8192 characters' };
  assert.throws(() => parseAsked(['x'.repeat(4_096), 'x'.repeat(4_097)]), tooLong);
});

test('any input gives valid names and actions', () => {
  const words = ['repository', 'registry', 'catalog', '(', ')', ':', ',', '*', 'pull', 'a/b', ' ', '..', '/'];
  const text = fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 3 })), { maxLength: 12 });
  fc.assert(
    fc.property(text, (parts) => {
      for (const [name, actions] of parseAsked([parts.join('')]).repositories) {
        assert.equal(asName(name), name);
        for (const action of actions) assert.equal(asAction(action), action);
      }
    }),
  );
});
