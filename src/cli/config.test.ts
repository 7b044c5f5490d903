import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { jsonSchema, referencePage } from '../config/reference.ts';
import { configSchema } from '../config/schema.ts';
import { run, wholeProgram } from './program.ts';
import { leavesOf } from './reference.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-cli-'));
const file = join(folder, 'berth.yaml');
after(() => rmSync(folder, { recursive: true }));

async function berth(argv: string[], env: Record<string, string> = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const context = {
    env,
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
  };
  return { exitCode: await run(argv, context), out: out.join(''), err: err.join('') };
}

test('check accepts a valid configuration, and names the file it has read', async () => {
  writeFileSync(file, 'workers: 2');
  const right = (read: string) => ({ exitCode: 0, out: `the configuration is valid; ${read}\n`, err: '' });
  assert.deepEqual(await berth(['config', 'check', '--config', file]), right(`read ${file}`));
  assert.deepEqual(await berth(['config', 'check'], { BERTH_CONFIG: file }), right(`read ${file}`));
  assert.deepEqual(
    await berth(['config', 'check']),
    right('no file read: neither berth.yaml nor /etc/berth/berth.yaml exists'),
  );
});

test('check prints every mistake on standard error and exits 2', async () => {
  writeFileSync(file, 'log:\n  level: loud\nuplods: {}\n');
  assert.deepEqual(await berth(['config', 'check', '--config', file, '--log-format', 'xml']), {
    exitCode: 2,
    out: '',
    err: `berth: the configuration has 3 mistakes:
  --log-format: log.format is "xml"; allowed: auto, json or pretty
  ${file}:3:1: unknown key uplods; did you mean uploads?
  ${file}:2:10: log.level is "loud"; allowed: trace, debug, info, warn, error or silent
`,
  });
});

test('serve refuses an invalid configuration with the same message, before it starts anything', async () => {
  const check = await berth(['config', 'check', '--listen', '5000']);
  assert.equal(check.exitCode, 2);
  assert.match(check.err, /--listen: listen is "5000"/);
  assert.deepEqual(await berth(['serve', '--listen', '5000']), check);
});

test('every common flag sets its key, over the environment', async () => {
  const argv = Object.entries({
    '--listen': '0.0.0.0:1',
    '--data': '/data',
    '--allow-anonymous': 'pull',
    '--tls-certificate': '/crt',
    '--tls-key': '/key',
    '--log-level': 'debug',
    '--log-format': 'json',
    '--operations-listen': '127.0.0.1:2',
  }).flat();
  const { out } = await berth(['config', 'show', '--json', ...argv], { BERTH_LOG_LEVEL: 'warn' });
  const { listen, data, anonymous, tls, log, operations } = JSON.parse(out);
  assert.deepEqual(
    { listen, data, anonymous, tls, log, operations },
    {
      listen: '0.0.0.0:1',
      data: '/data',
      anonymous: 'pull',
      tls: { certificate: '/crt', key: '/key' },
      log: { level: 'debug', format: 'json', access: true },
      operations: { listen: '127.0.0.1:2' },
    },
  );
});

test('show prints YAML with the origin of each value', async () => {
  const { out, exitCode } = await berth(['config', 'show'], { BERTH_LOG_LEVEL: 'warn' });
  assert.equal(exitCode, 0);
  assert.match(out, /^listen: 127\.0\.0\.1:5000 # default$/m);
  assert.match(out, /^ {2}level: warn # BERTH_LOG_LEVEL$/m);
});

test('the reference and the JSON schema match the documentation', async () => {
  assert.equal((await berth(['config', 'reference'])).out, referencePage(configSchema));
  assert.equal((await berth(['config', 'schema'])).out, jsonSchema(configSchema));
});

for (const [argv, expected] of [
  [['serv'], /unknown command 'serv'\n\(Did you mean serve\?\)/],
  [['serve', '--lisen', 'x'], /unknown option '--lisen'\n\(Did you mean --listen\?\)/],
  [['serve', '--listen'], /option '--listen <host:port>' argument missing/],
  [['serve', 'now'], /too many arguments/],
  [[], /Usage: berth/],
] as const) {
  test(`berth ${argv.join(' ')} exits with code 2`, async () => {
    const { exitCode, out, err } = await berth([...argv]);
    assert.match(err, expected);
    assert.deepEqual({ exitCode, out }, { exitCode: 2, out: '' });
  });
}

test("the help lists a command's own flags first, and configuration flags below their heading", async () => {
  const { out } = await berth(['config', 'show', '--help']);
  const [own = '', shared = ''] = out.split('\nConfiguration:\n');
  assert.match(own, /\nOptions:\n {2}--json .*\n {2}-h, --help /);
  assert.match(shared, /^ {2}--config <file> .*\n/);
  assert.match(shared, /^ {2}--data <directory> /m);
  assert.doesNotMatch(own, /--data/);
  assert.doesNotMatch((await berth(['config', '--help'])).out, /Configuration:/);
});

test('the help of a command about a registry omits flags of the server, which it accepts', async () => {
  const { commands } = await wholeProgram({ env: {}, out: () => {}, err: () => {} });
  let seen = 0;
  for (const { words, command } of commands.flatMap((one) => leavesOf(one))) {
    if (/^(?:serve|config|reference)/.test(words.join(' '))) continue;
    const [, shared = ''] = command.helpInformation().split('\nConfiguration:\n');
    const flags = [...shared.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, flag]) => flag);
    assert.deepEqual(flags, ['--config', '--data'], words.join(' '));
    assert.ok(command.options.some(({ long }) => long === '--listen'));
    seen += 1;
  }
  assert.ok(seen > 40);
});

test('help and version exit with code 0', async () => {
  const help = await berth(['serve', '--help']);
  assert.match(help.out, /--allow-anonymous <none\|public\|pull\|push>/);
  assert.equal(help.exitCode, 0);
  const version = await berth(['--version']);
  assert.match(version.out, /^\d+\.\d+\.\d+\n$/);
  assert.equal(version.exitCode, 0);
});
