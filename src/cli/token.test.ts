import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { hashOf, isAccessToken } from '../access/login/access-token.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';

/** `berth` with its own registry, with alice, acme and its robot. */
async function registry(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  const run = (...args: string[]) => berth(...args, '--data', data);
  await makeRegistry(data);
  for (const command of ['user create alice', 'org create acme', 'robot create acme+ci']) {
    assert.equal((await run(...command.split(' '))).exitCode, 0, command);
  }
  return { data, berth: run };
}

const day = 86_400_000;

test('prints only the token, and stores only its hash', async (t) => {
  const { data, berth } = await registry(t);
  const made = await berth('token', 'create', '--user', 'alice', '--expires', '30d');
  assert.deepEqual([made.exitCode, made.err], [0, '']);
  const token = made.out.trimEnd();
  assert.ok(isAccessToken(token));
  const database = await openSqlite(join(data, 'berth.db'), { checkpoints: false });
  t.after(() => database.close());
  const row = await database.read.selectFrom('access_tokens').selectAll().executeTakeFirstOrThrow();
  assert.equal(row.hash, hashOf(token));
  assert.equal(row.scopes, '');
  assert.equal((row.expires_at as number) - row.created_at, 30 * day);
  assert.ok(!JSON.stringify(row).includes(token));
  for (const flags of [[], ['--json']]) {
    assert.ok(!(await berth('token', 'list', ...flags)).out.includes(token.slice(5, 20)));
  }
});

test('a token without --expires has the default lifetime, which is printed', async (t) => {
  const { berth } = await registry(t);
  const made = await berth('token', 'create', '--user', 'alice', '--json');
  const { expiresAt } = JSON.parse(made.out);
  assert.equal(
    made.err,
    `berth: the token expires in 90d, at ${expiresAt}; --expires sets another lifetime, or never\n`,
  );
  const off = Date.parse(expiresAt) - Date.now() - 90 * day;
  assert.ok(Math.abs(off) < 60_000, `${off} ms`);
  const never = await berth('token', 'create', '--user', 'alice', '--expires', 'never', '--json');
  assert.equal(JSON.parse(never.out).expiresAt, null);
  assert.equal(never.err, '');
});

test('tokens are listed with scopes and expiry, and end when revoked', async (t) => {
  const { berth } = await registry(t);
  const scopes = ['repository:acme/*:pull,push', 'repository:base:pull'];
  const flags = ['--name', 'GitHub', '--expires', 'never', ...scopes.flatMap((scope) => ['--scope', scope])];
  const { id } = JSON.parse((await berth('token', 'create', '--robot', 'acme+ci', ...flags, '--json')).out);
  await berth('token', 'create', '--user', 'alice', '--expires', '1d');
  const list = async (...owner: string[]) =>
    JSON.parse((await berth('token', 'list', ...owner, '--json')).out);
  assert.equal((await list()).length, 2);
  const [{ createdAt, ...token }, ...others] = await list('--robot', 'acme+ci');
  assert.deepEqual(others, []);
  const kept = { id, name: 'GitHub', owner: 'acme+ci', ownerKind: 'robot', scopes, expiresAt: null };
  assert.deepEqual(token, {
    ...kept,
    madeBy: 'administrator',
    lastUsedAt: null,
    lastUsedFrom: null,
    revokedAt: null,
  });

  const { revokedAt } = JSON.parse((await berth('token', 'revoke', String(id), '--json')).out);
  assert.equal((await list('--robot', 'acme+ci'))[0].revokedAt, revokedAt);
  assert.equal((await list('--user', 'alice'))[0].revokedAt, null);
  const again = await berth('token', 'revoke', String(id));
  assert.equal(again.out, `token ${id} was revoked at ${revokedAt}\n`);
});

test('a disabled account gets no token', async (t) => {
  const { berth } = await registry(t);
  await berth('user', 'set', 'alice', '--disabled');
  await berth('org', 'set', 'acme', '--disabled');
  const alice = await berth('token', 'create', '--user', 'alice');
  assert.deepEqual(alice, {
    exitCode: 1,
    out: '',
    err: 'berth: alice is disabled: a token of alice would not work\n',
  });
  const robot = await berth('token', 'create', '--robot', 'acme+ci');
  assert.equal(robot.err, 'berth: acme is disabled: a token of acme+ci would not work\n');
});

for (const [args, exitCode, err] of [
  ['create', 2, /^error: missing option: --user or --robot\n$/],
  ['create --user bob', 1, /^berth: there is no user bob\n$/],
  ['create --user acme', 1, /^berth: acme is an organisation, not a user\n$/],
  ['create --user alice --expires 30', 2, /Expected a duration such as 30d or 12h, or never/],
  [
    'create --user alice --expires 0d',
    1,
    /^berth: the lifetime of a token must be above 0 and at most 3650d/,
  ],
  [
    'create --user alice --expires 3651d',
    1,
    /^berth: the lifetime of a token must be above 0 and at most 3650d/,
  ],
  [
    'create --user alice --scope acme/app:pull',
    1,
    /^berth: "acme\/app:pull" is not a valid scope: a scope is repository:/,
  ],
  ['create --user alice --scope registry:catalog:*', 1, /^berth: "registry:catalog:\*" is not a valid scope/],
  [
    'create --user alice --scope repository:a:b:pull',
    1,
    /^berth: "repository:a:b:pull" is not a valid scope/,
  ],
  ['create --user alice --scope repository:A:pull', 1, /^berth: "A" is not a valid pattern/],
  [
    'create --user alice --scope repository:a:pul',
    1,
    /^berth: "pul" in "repository:a:pul" is not an action: the actions are pull/,
  ],
  [
    'create --user alice --scope repository:a:pull,',
    1,
    /^berth: "" in "repository:a:pull," is not an action/,
  ],
  ['revoke 7', 1, /^berth: there is no token 7 \(berth token list shows them\)\n$/],
  ['revoke x', 2, /Expected a number/],
] as const) {
  test(`refused: berth token ${args}`, async (t) => {
    const { berth } = await registry(t);
    const ended = await berth('token', ...args.split(' '));
    assert.match(ended.err, err);
    assert.deepEqual([ended.exitCode, ended.out], [exitCode, '']);
  });
}
