import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused } from '../../test/support/refused.ts';
import { printScopes } from '../access/scope.ts';
import { parseScopes } from './parse-scopes.ts';

test('scopes keep their order, and no scopes give an empty list', () => {
  const texts = ['repository:acme/**:pull,push', 'repository:base:*'];
  assert.equal(printScopes(parseScopes(texts)), texts.join(' '));
  assert.deepEqual(parseScopes([]), []);
});

const shape = "a scope is repository:PATTERN:ACTIONS, such as 'repository:acme/app:pull,push'";
const actions = 'the actions are pull, create, push, delete and *';
const pattern =
  "a pattern is a repository's name, with * for any part of one component, and ** for any components, such as acme/app, " +
  'acme/web-* or acme/**';

for (const [text, message] of [
  ['', `"" is not a valid scope: ${shape}`],
  ['acme/app', `"acme/app" is not a valid scope: ${shape}`],
  ['acme/app:pull', `"acme/app:pull" is not a valid scope: ${shape}`],
  ['repository', `"repository" is not a valid scope: ${shape}`],
  ['repository:acme/app', `"repository:acme/app" is not a valid scope: ${shape}`],
  ['repository:host:5000/app:pull', `"repository:host:5000/app:pull" is not a valid scope: ${shape}`],
  ['registry:catalog:*', `"registry:catalog:*" is not a valid scope: ${shape}`],
  ['repository:Acme:pull', `"Acme" is not a valid pattern: ${pattern}`],
  ['repository::pull', `"" is not a valid pattern: ${pattern}`],
  ['repository:a:', `"" in "repository:a:" is not an action: ${actions}`],
  ['repository:a:pull,pul,fly', `"pul" in "repository:a:pull,pul,fly" is not an action: ${actions}`],
] as const) {
  test(`refused as a scope: ${text}`, () => {
    assert.throws(() => parseScopes(['repository:a:pull', text]), refused(message));
  });
}

test('a token has at most a hundred scopes', () => {
  const scopes = (count: number) => Array(count).fill('repository:a:pull');
  assert.equal(parseScopes(scopes(100)).length, 100);
  assert.throws(
    () => parseScopes(scopes(101)),
    refused('a token has at most 100 scopes: use patterns, such as repository:acme/**:pull'),
  );
});
