import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

/** `berth` over a registry of its own, with alice, acme, its team dev and its robot. */
async function registry(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  const run = (...args: string[]) => berth(...args, '--data', data);
  await makeRegistry(data);
  for (const command of [
    'user create alice',
    'org create acme',
    'team create acme/dev',
    'robot create acme+ci',
  ]) {
    assert.equal((await run(...command.split(' '))).exitCode, 0, command);
  }
  return run;
}

test('grants are created, changed, listed and removed', async (t) => {
  const berth = await registry(t);
  for (const [args, out] of [
    ['set acme/** --user alice --role write', 'user alice has write on acme/**\n'],
    ['set acme/app --team acme/dev --role read', 'team acme/dev has read on acme/app\n'],
    ['set acme/app --robot acme+ci --role admin', 'robot acme+ci has admin on acme/app\n'],
    ['set acme/** --user alice --role maintain', 'user alice has maintain on acme/**\n'],
  ] as const) {
    assert.deepEqual(await berth('grant', ...args.split(' ')), { exitCode: 0, out, err: '' });
  }
  const { out } = await berth('grant', 'list', '--json');
  const grants = JSON.parse(out).map(({ createdAt, ...grant }: { createdAt: string }) => {
    assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    return Object.values(grant).sort().join(' ');
  });
  assert.deepEqual(grants, [
    'acme/** alice maintain user',
    'acme/app acme/dev read team',
    'acme+ci acme/app admin robot',
  ]);
  assert.match((await berth('grant', 'list', '--team', 'acme/dev')).out, /^PATTERN .*\nacme\/app .*\n$/);
  const removed = await berth('grant', 'remove', 'acme/**', '--user', 'alice', '--json');
  assert.deepEqual(JSON.parse(removed.out), {
    pattern: 'acme/**',
    kind: 'user',
    name: 'alice',
    removed: true,
  });
  const again = await berth('grant', 'remove', 'acme/**', '--user', 'alice');
  assert.deepEqual(again, {
    exitCode: 1,
    out: '',
    err: 'berth: user alice has no grant for acme/** (it has no grants)\n',
  });
});

test('lists the rights on one repository from every source', async (t) => {
  const berth = await registry(t);
  await berth('org', 'member', 'add', 'acme', 'alice', '--role', 'write');
  await berth('grant', 'set', 'acme/*', '--robot', 'acme+ci', '--role', 'read');
  await berth('grant', 'set', 'other/app', '--user', 'alice', '--role', 'read');
  const who = async (repository: string) =>
    JSON.parse((await berth('grant', 'list', '--repository', repository, '--json')).out).map(
      ({ kind, name, rights, by }: Record<string, string>) => `${kind} ${name}: ${rights} by ${by}`,
    );
  const administrators =
    'administrators null: pull,create,update,delete,settings,members by administrator rights';
  assert.deepEqual(await who('acme/app'), [
    administrators,
    'user alice: pull,create,update by write on acme/**, as a member',
    'robot acme+ci: pull by read on acme/*',
  ]);
  assert.deepEqual(await who('alice/x'), [
    administrators,
    'user alice: pull,create,update,delete,settings,members by owner of alice/**',
  ]);
  await berth('repo', 'set', 'acme/app', '--visibility', 'public');
  assert.equal((await who('acme/app')).at(-1), 'everyone null: pull by the repository being public');
});

test('a grant whose pattern matches nothing is created with a warning', async (t) => {
  const berth = await registry(t);
  const warningOf = async (pattern: string) =>
    (await berth('grant', 'set', pattern, '--user', 'alice', '--role', 'read')).err;
  assert.equal(
    await warningOf('amce/**'),
    'berth: amce/** matches nothing yet: there is no user or organisation amce, and no such repository\n',
  );
  assert.equal(await warningOf('alpine'), 'berth: alpine matches nothing yet: there is no such repository\n');
  for (const pattern of ['acme/new', 'alice/**', '**', '*/app']) assert.equal(await warningOf(pattern), '');
  await berth('repo', 'set', 'library/nginx', '--visibility', 'private');
  assert.equal(await warningOf('library/**'), '');
});

for (const [args, exitCode, err] of [
  ['set acme/app --role read', 2, /^error: missing option: --user or --team or --robot\n$/],
  ['set acme/app --user alice', 2, /required option '--role <role>' not specified/],
  ['set acme/app --user alice --role owner', 2, /Allowed choices are read, write, maintain, admin/],
  ['set acme/app --user alice --robot acme+ci --role read', 2, /cannot be used with/],
  ['set Acme/app --user alice --role read', 1, /^berth: "Acme\/app" is not a valid pattern: a pattern is /],
  ['set acme/app --user bob --role read', 1, /^berth: there is no user bob\n$/],
  ['set acme/app --user acme --role read', 1, /^berth: acme is an organisation, not a user\n$/],
  ['set acme/app --team acme/ops --role read', 1, /^berth: acme has no team ops\n$/],
  ['list --repository Acme', 1, /^berth: "Acme" is not a valid repository name: /],
  ['list --repository acme/app --user alice', 2, /cannot be used with/],
] as const) {
  test(`refused: berth grant ${args}`, async (t) => {
    const berth = await registry(t);
    const ended = await berth('grant', ...args.split(' '));
    assert.match(ended.err, err);
    assert.deepEqual([ended.exitCode, ended.out], [exitCode, '']);
  });
}
