import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { Command } from 'commander';
import { makeRegistry } from '../../test/support/berth.ts';
import { needs } from '../../test/support/needs.ts';
import { openTestPostgres } from '../../test/support/postgres.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { isConfigFlag } from './config-flags.ts';
import { run, wholeProgram } from './program.ts';
import { leavesOf } from './reference.ts';

async function berth(args: readonly string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const exitCode = await run(args, {
    env: {},
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    input: Readable.from([Buffer.from('token\n')], { objectMode: false }),
  });
  return { exitCode, out: out.join(''), err: err.join('') };
}

const whole = await wholeProgram({ env: {}, out: () => {}, err: () => {} });
/** Commands that create a registry or open none. */
const others = /^(serve|adopt|config|reference|backup verify|restore)\b/;
const aboutOne = leavesOf(whole)
  .map(({ words, command }) => ({ name: words.slice(1).join(' '), command }))
  .filter(({ name }) => !others.test(name));

/** Values for required arguments, so that each command tries to open its registry. */
const values: Readonly<Record<string, string>> = {
  '--role': 'read',
  '--visibility': 'public',
  '--expires': '1d',
};
const extra: Readonly<Record<string, string>> = {
  'user set': '--admin',
  'org set': '--disabled',
  'robot set': '--disabled',
  'team set': '--group dev',
  'trust create':
    '--issuer https://ci.example.com --audience registry.example.com --claim sub=a --scope repository:acme/app:pull',
  'trust set': '--lifetime 30m',
  'token create': '--user alice',
  'token list': '--user alice',
  'grant set': '--user alice',
  'grant remove': '--user alice',
  'backup create': 'backups',
  'trash empty': '--yes',
  'quota set': '--bytes 1GiB',
  'retention set': '--registry',
  'retention delete': '--registry',
  'tag rule add': '--repository acme/app',
  'tag rule remove': '--repository acme/app',
  // With the one argument that it requires.
  export: 'images.tar',
};
const argument: Readonly<Record<string, string>> = {
  robot: 'acme+ci',
  team: 'acme/dev',
  pattern: 'acme/**',
  repository: 'acme/app',
  id: '1',
  role: 'read',
};

interface Files {
  readonly file: string;
  readonly to: string;
  readonly policy: string;
}

function argvOf(name: string, command: Command, { file, to, policy }: Files): string[] {
  const args = command.registeredArguments
    .filter(({ required }) => required)
    .map((one) => (one.name() === 'file' ? file : (argument[one.name()] ?? 'acme')));
  const required = command.options
    .filter(({ long, mandatory }) => mandatory && long !== '--to')
    .flatMap(({ long }) => [long as string, long === '--policy' ? policy : (values[long as string] ?? '')]);
  const migrating = name.startsWith('migrate-') ? ['--to', to] : [];
  return [...name.split(' '), ...args, ...required, ...migrating, ...(extra[name]?.split(' ') ?? [])];
}

test('no command creates a missing registry: each names the place and refuses', async (t) => {
  const folder = await temporaryDirectory(t);
  const file = join(folder, 'htpasswd');
  const to = join(folder, 'new.yaml');
  const policy = join(folder, 'policy.yaml');
  writeFileSync(file, '');
  writeFileSync(policy, 'rules: []\n');
  writeFileSync(to, `data: ${join(folder, 'new')}\n`);
  const before = readdirSync(folder);
  const typo = join(folder, 'typo');
  assert.ok(aboutOne.length > 40);
  for (const { name, command } of aboutOne) {
    const { exitCode, out, err } = await berth([
      ...argvOf(name, command, { file, to, policy }),
      '--data',
      typo,
    ]);
    const offers = command.options.some(({ long }) => long === '--create');
    assert.deepEqual(
      { exitCode, out, err },
      {
        exitCode: 1,
        out: '',
        err:
          `registry: ${typo} (SQLite)\n` +
          `berth: no registry in ${typo}: check the configuration, or create one with \`berth serve\`${offers ? ', or repeat this command with --create' : ''}\n`,
      },
      name,
    );
    assert.deepEqual(readdirSync(folder), before, name);
  }
});

test('a command refuses an empty PostgreSQL database', async (t) => {
  if (!needs(t, 'postgres')) return;
  const config = join(await temporaryDirectory(t), 'berth.yaml');
  const url = await openTestPostgres(t);
  writeFileSync(config, `database:\n  url: ${url}\n`);
  const { exitCode, out, err } = await berth(['user', 'list', '--config', config]);
  const { host, pathname, password } = new URL(url);
  const place = `${host}${pathname}`;
  assert.deepEqual([exitCode, out], [1, '']);
  assert.equal(
    err,
    `registry: ${place} (PostgreSQL), from ${config}\nberth: no registry in ${place}: check the configuration, or create one with \`berth serve\`\n`,
  );
  if (password !== '') assert.ok(!err.includes(password));
});

test('--create creates the registry with its first users or organisation before the first start', async (t) => {
  const offering = aboutOne.filter(({ command }) => command.options.some(({ long }) => long === '--create'));
  assert.deepEqual(
    offering.map(({ name }) => name),
    ['user create', 'user import-htpasswd', 'org create'],
  );
  const folder = await temporaryDirectory(t);
  const file = join(folder, 'htpasswd');
  writeFileSync(file, '');
  for (const { name, command } of offering) {
    const data = join(folder, name);
    const argv = [...argvOf(name, command, { file, to: '', policy: '' }), '--create', '--data', data];
    const { exitCode, err } = await berth(argv);
    assert.deepEqual([exitCode, err], [0, `registry: ${data} (SQLite)\n`]);
    assert.equal((await berth(['fsck', '--data', data])).exitCode, 0);
  }
});

test('the name of the registry is not on standard output', async (t) => {
  const data = await temporaryDirectory(t);
  await makeRegistry(data);
  const { out, err } = await berth(['user', 'list', '--json', '--data', data]);
  assert.deepEqual(JSON.parse(out), []);
  assert.equal(err, `registry: ${data} (SQLite)\n`);
});

test('every command about a registry has the configuration flags', () => {
  for (const { name, command } of aboutOne) assert.ok(command.options.some(isConfigFlag), name);
});
