import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { hash } from '@node-rs/bcrypt';
import type { Command } from 'commander';
import { berth, berthReading, makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import type { AuditAction } from '../audit/actions.ts';
import { wholeProgram } from './program.ts';

const issuer = '--issuer https://ci.example.com --audience registry.example.com';
const terms = `${issuer} --i-know-this-issuer-is-mine --claim repository=acme/app --scope repository:acme/app:pull,push`;

/** Commands that change something, in an order in which each succeeds. */
const changes: readonly [string, ...AuditAction[]][] = [
  ['user create alice --password-stdin', 'user.create'],
  ['user set alice --admin', 'user.update'],
  ['user set alice --password-stdin --mail alice@example.com', 'user.password', 'user.update'],
  ['user set alice --no-password', 'user.password'],
  ['user import-htpasswd HTPASSWD', 'user.import'],
  ['user link bob --issuer https://issuer.example --subject 7', 'user.link'],
  ['user unlink bob --issuer https://issuer.example --subject 7', 'user.unlink'],
  ['org create acme --admin alice', 'organisation.create'],
  ['org set acme --default-visibility public', 'organisation.update'],
  ['org member add acme bob --role read', 'member.set'],
  ['team create acme/dev', 'team.create'],
  ['team set acme/dev --group dev', 'team.update'],
  ['team member add acme/dev bob', 'team.member.add'],
  ['team member remove acme/dev bob', 'team.member.remove'],
  ['robot create acme+ci', 'robot.create'],
  ['robot set acme+ci --disabled', 'robot.update'],
  ['token create --user bob --expires 1d', 'token.create'],
  ['token revoke 1', 'token.revoke'],
  ['grant set acme/app --user bob --role write', 'grant.set'],
  ['grant remove acme/app --user bob', 'grant.remove'],
  ['repo set acme/app --visibility public', 'repository.update'],
  ['tag rule add v* --repository acme/app', 'tag.rule.add'],
  ['tag rule remove v* --repository acme/app', 'tag.rule.remove'],
  ['quota set acme --bytes 10GiB', 'quota.set'],
  ['quota delete acme', 'quota.delete'],
  ['retention set --policy POLICY --repository acme/app', 'retention.set'],
  ['retention run'],
  ['retention delete --repository acme/app', 'retention.delete'],
  ['repo rename acme/app acme/web', 'repository.rename'],
  ['repo alias delete acme/app', 'alias.delete'],
  ['repo delete acme/web', 'repository.delete'],
  ['trash restore acme/web', 'repository.restore'],
  ['repo delete acme/web', 'repository.delete'],
  ['trash empty acme/web --yes', 'trash.empty'],
  [`trust create acme ci ${terms}`, 'trust.create'],
  ['trust set acme ci --lifetime 30m', 'trust.update'],
  ['trust delete acme ci', 'trust.delete'],
  ['gc pause', 'gc.pause'],
  ['gc resume', 'gc.resume'],
  ['gc run'],
  ['scrub run'],
  ['key rotate', 'key.rotate'],
  ['key rotate --revoke', 'key.rotate', 'key.delete'],
  ['team delete acme/dev', 'team.delete'],
  ['org member remove acme bob', 'member.remove'],
  ['robot delete acme+ci', 'robot.delete'],
  ['org delete acme', 'organisation.delete'],
  ['user delete bob', 'user.delete'],
];

/** The last words of commands that only show something. */
const shows = /^(list|show|test|identities|status|plan|inspect|history|explain|simulate)$/;

/** Commands that change nothing, or whose records are tested elsewhere. */
const others = [
  'serve',
  'config',
  'reference',
  'audit',
  'usage',
  'adopt',
  'export',
  'import',
  'fsck',
  'read-only',
  'migrate-db',
  'migrate-store',
  'backup',
  'restore',
  ...['image delete', 'tag copy', 'tag delete', 'tag rollback'],
];

test('records each change of a command once, with the operating-system user', async (t) => {
  const directory = await temporaryDirectory(t);
  const data = join(directory, 'data');
  await makeRegistry(data);
  const htpasswd = join(directory, 'htpasswd');
  const password = 'correct horse battery staple';
  writeFileSync(htpasswd, `bob:${await hash(password, 4)}\n`);
  const policy = join(directory, 'policy.yaml');
  writeFileSync(policy, 'rules: [{ tags: v*, keep: { newest: 3 } }]');
  const files: Record<string, string> = { HTPASSWD: htpasswd, POLICY: policy };
  let seen = 0;
  for (const [line, ...actions] of changes) {
    const args = line.split(' ').map((word) => files[word] ?? word);
    const { exitCode, out, err } = await berthReading([`${password}\n`], ...args, '--data', data, '--json');
    assert.equal(exitCode, 0, `${line}: ${err}`);
    const exported = (await berth('audit', 'export', '--data', data)).out;
    const events = exported
      .trim()
      .split('\n')
      .slice(seen)
      .map((text) => JSON.parse(text));
    seen += events.length;
    assert.deepEqual(
      events.map(({ action }) => action),
      actions,
      line,
    );
    for (const { allowed, actor, credential } of events) {
      assert.deepEqual([allowed, actor, credential], [true, `cli:${userInfo().username}`, 'none'], line);
    }
    for (const secret of [password, '$2', '$argon2', JSON.parse(out).token ?? 'brth_', '"d":']) {
      assert.ok(!exported.includes(secret), `${line}: ${secret}`);
    }
  }
});

test('every command that is not tested elsewhere is in the list of changes or only shows something', async () => {
  const { commands } = await wholeProgram({ env: {}, out: () => {}, err: () => {} });
  const named = commands.filter((command) => !others.includes(command.name()));
  const changing = named
    .flatMap((command) => leaves(command))
    .filter((name) => !shows.test(name.split(' ').at(-1)!) && !others.includes(name));
  const tried = changes.map(([line]) =>
    changing.find((name) => line.startsWith(`${name} `) || line === name),
  );
  assert.deepEqual(new Set(tried), new Set(changing));
});

test('records neither a refused command nor one that changes nothing', async (t) => {
  const directory = await temporaryDirectory(t);
  const data = join(directory, 'data');
  await makeRegistry(data);
  const htpasswd = join(directory, 'htpasswd');
  writeFileSync(htpasswd, '');
  assert.equal((await berth('user', 'delete', 'nobody', '--data', data)).exitCode, 1);
  assert.equal((await berth('user', 'import-htpasswd', htpasswd, '--data', data)).exitCode, 0);
  assert.equal((await berth('audit', 'export', '--data', data)).out, '');
});

for (const line of [
  'fsck --yes',
  'user set alice',
  'team set acme/dev',
  'trust set acme ci',
  'token create',
  'grant remove acme/app',
  'tag rule add v*',
  'backup',
  'backup ftp://backups',
  'backup create s3://b',
  'backup backups --keep 0',
  'backup verify backups --name newest',
]) {
  test(`berth ${line} exits with 2 and one line, before it opens the registry`, async () => {
    const { exitCode, out, err } = await berth(...line.split(' '), '--data', '/nowhere');
    assert.deepEqual([exitCode, out], [2, '']);
    assert.match(err, /^error: .*\n$/);
  });
}

test('changes nothing when the change cannot be recorded', async (t) => {
  const data = join(await temporaryDirectory(t), 'data');
  await makeRegistry(data);
  assert.equal((await berth('user', 'create', 'bob', '--no-password', '--data', data)).exitCode, 0);
  const file = new DatabaseSync(join(data, 'berth.db'));
  file.exec("create trigger refuse before insert on changes begin select raise(abort, 'no room'); end");
  file.close();
  const { exitCode, out } = await berth(
    'token',
    'create',
    '--user',
    'bob',
    '--expires',
    '1d',
    '--data',
    data,
  );
  assert.deepEqual([exitCode, out], [1, '']);
  const tokens = await berth('token', 'list', '--json', '--data', data);
  assert.deepEqual(JSON.parse(tokens.out), []);
});

function leaves(command: Command, before = ''): string[] {
  const name = `${before}${command.name()}`;
  if (command.commands.length === 0) return [name];
  return command.commands.flatMap((one) => leaves(one, `${name} `));
}
