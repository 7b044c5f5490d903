import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused } from '../../test/support/refused.ts';
import { printScopes } from '../access/scope.ts';
import { parseScopes } from './parse-scopes.ts';

test('scopes are taken in their order, and none as none', () => {
  const texts = ['repository:acme/**:pull,push', 'repository:base:*'];
  assert.equal(printScopes(parseScopes(texts)), texts.join(' '));
  assert.deepEqual(parseScopes([]), []);
});

const shape = "a scope is repository:PATTERN:ACTIONS, such as 'repository:acme/app:pull,push'";
const actions = 'there are pull, create, push, delete and *';
const pattern =
  "a pattern is a repository's name, with * for any part of one component, and ** for any components, such as acme/app, " +
  'acme/web-* or acme/**';

for (const [text, message] of [
  ['', `"" is no scope: ${shape}`],
  ['acme/app', `"acme/app" is no scope: ${shape}`],
  ['acme/app:pull', `"acme/app:pull" is no scope: ${shape}`],
  ['repository', `"repository" is no scope: ${shape}`],
  ['repository:acme/app', `"repository:acme/app" is no scope: ${shape}`],
  ['repository:host:5000/app:pull', `"repository:host:5000/app:pull" is no scope: ${shape}`],
  ['registry:catalog:*', `"registry:catalog:*" is no scope: ${shape}`],
  ['repository:Acme:pull', `"Acme" matches no repository: ${pattern}`],
  ['repository::pull', `"" matches no repository: ${pattern}`],
  ['repository:a:', `"" in "repository:a:" is no action: ${actions}`],
  ['repository:a:pull,pul,fly', `"pul" in "repository:a:pull,pul,fly" is no action: ${actions}`],
] as const) {
  test(`refused for a scope: ${text}`, () => {
    assert.throws(() => parseScopes(['repository:a:pull', text]), refused(message));
  });
}

test('a token has a hundred scopes at most', () => {
  const scopes = (count: number) => Array(count).fill('repository:a:pull');
  assert.equal(parseScopes(scopes(100)).length, 100);
  assert.throws(
    () => parseScopes(scopes(101)),
    refused('a token has at most 100 scopes: use patterns, such as repository:acme/**:pull'),
  );
});
