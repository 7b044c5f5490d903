import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const issuer = 'https://sso.example';

async function setUp(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  const user = (...args: string[]) => berth('user', ...args, '--data', data);
  for (const name of ['alice', 'bob']) await user('create', name, '--no-password', '--create');
  const identities = async (...args: string[]) =>
    JSON.parse((await user('identities', ...args, '--json')).out);
  const events = async () =>
    (await berth('audit', 'export', '--data', data)).out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { action: string; detail: object })
      .filter(({ action }) => action.endsWith('link'))
      .map(({ action, detail }) => [action, detail]);
  return { user, identities, events };
}

test('an identity is linked, listed and unlinked, and each change is in the audit log', async (t) => {
  const { user, identities, events } = await setUp(t);
  const flags = ['--issuer', issuer, '--subject', 'Jane Doe|7'];
  assert.deepEqual(await user('link', 'alice', ...flags), { exitCode: 0, out: 'linked alice\n', err: '' });
  assert.equal((await user('link', 'alice', ...flags)).out, 'alice is already linked\n');
  const linked = { user: 'alice', issuer, subject: 'Jane Doe|7' };
  assert.deepEqual(await identities(), [linked]);
  assert.deepEqual(await identities('bob'), []);
  assert.match(
    (await user('identities')).out,
    /^USER +ISSUER +SUBJECT\nalice +https:\/\/sso\.example +Jane Doe\|7\n$/,
  );
  assert.equal((await user('unlink', 'alice', ...flags)).out, 'unlinked alice\n');
  assert.deepEqual(await identities(), []);
  assert.deepEqual(await events(), [
    ['user.link', linked],
    ['user.unlink', linked],
  ]);
});

test('an identity of another user cannot be linked', async (t) => {
  const { user, identities } = await setUp(t);
  const flags = ['--issuer', issuer, '--subject', 's'];
  await user('link', 'alice', ...flags);
  const { exitCode, err } = await user('link', 'bob', ...flags);
  assert.equal(exitCode, 1);
  assert.match(
    err,
    /^berth: this sign-on identity belongs to another user: berth user identities shows its user/,
  );
  assert.equal((await user('unlink', 'bob', ...flags)).exitCode, 1);
  assert.deepEqual(await identities('alice'), [{ user: 'alice', issuer, subject: 's' }]);
});

test('without an issuer in the configuration --issuer is required', async (t) => {
  const { user } = await setUp(t);
  const { exitCode, err } = await user('link', 'alice', '--subject', 's');
  assert.deepEqual(
    [exitCode, err],
    [2, 'error: give the issuer: --issuer <url>, or configure signOn.issuer\n'],
  );
});
