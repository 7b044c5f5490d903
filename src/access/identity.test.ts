import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  anonymousIdentity,
  type Credential,
  credentialKey,
  type Principal,
  principalKey,
} from './identity.ts';

// The database stores both keys, so later versions must not change them.
for (const [principal, key] of [
  [{ kind: 'anonymous' }, 'anonymous'],
  [{ kind: 'user', id: 7, name: 'alice' }, 'user:7'],
  [{ kind: 'robot', id: 7, name: 'acme+ci' }, 'robot:7'],
  [{ kind: 'job', trust: 2, subject: 'repo:acme/app', name: 'acme/app' }, 'job:2:repo:acme/app'],
  [{ kind: 'holder', name: 'alice' }, 'holder:alice'],
] as const satisfies [Principal, string][]) {
  test(`the key of a ${principal.kind} principal is ${key}`, () =>
    assert.equal(principalKey(principal), key));
}

for (const [credential, key] of [
  [{ kind: 'none' }, 'none'],
  [{ kind: 'password', since: 5 }, 'password'],
  [{ kind: 'token', id: 4 }, 'token:4'],
  [{ kind: 'id-token', trust: 2, since: 6, terms: 5 }, 'trust:2'],
  [{ kind: 'foreign' }, 'foreign'],
] as const satisfies [Credential, string][]) {
  test(`the key of a ${credential.kind} credential is ${key}`, () => {
    assert.equal(credentialKey(credential), key);
  });
}

test('an unauthenticated caller is anonymous, without a credential', () => {
  assert.deepEqual(anonymousIdentity, { principal: { kind: 'anonymous' }, credential: { kind: 'none' } });
});
