// Lists what the start of a command loads, which is most of the time that it takes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = join(root, 'bin/berth.js');

/** Reports at the end of the process what it loaded, on its own channel. */
const probe = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  import { writeSync } from 'node:fs';
  const files = [];
  if (process.env.LIST_FILES) {
    registerHooks({ load: (url, context, next) => (files.push(url), next(url, context)) });
  }
  process.on('exit', () => {
    const strips = process.moduleLoadList.some((name) => name.includes('amaro'));
    writeSync(3, JSON.stringify({ files, strips }));
  });
`)}`;

interface Loaded {
  readonly files: readonly string[];
  /** Whether the code that strips types was loaded, which alone takes 50 ms. */
  readonly strips: boolean;
}

function load(argv: readonly string[], { listFiles = false } = {}): Loaded {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const { status, output } = spawnSync(process.execPath, ['--import', probe, ...argv], {
    env: { ...env, ...(listFiles && { LIST_FILES: '1' }) },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  assert.equal(status, 0, output[2] ?? '');
  return JSON.parse(output[3] as string);
}

test('starting a command', async (t) => {
  const data = join(await temporaryDirectory(t), 'data');
  await makeRegistry(data);

  const commands = ['--version', '--help', 'user create --help', 'user list'] as const;
  const argvOf = (command: string) => [
    launcher,
    ...command.split(' '),
    ...(command === 'user list' ? ['--data', data] : []),
  ];

  for (const command of commands) {
    await t.test(`berth ${command} strips types once, not at each start`, () => {
      // Fills the cache.
      load(argvOf(command));
      assert.equal(load(argvOf(command)).strips, false);
    });
  }

  await t.test('loads only the file of the command, and no client of PostgreSQL or S3', () => {
    const filesOf = (command: string) => load(argvOf(command), { listFiles: true }).files;
    const commandFiles = (files: readonly string[]) =>
      files.flatMap(
        (file) => /\/src\/cli\/(serve|user|org|team|robot|grant|trust|fsck|key)\.ts$/.exec(file)?.[1] ?? [],
      );
    const packages = (files: readonly string[]) =>
      new Set(files.flatMap((file) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []));
    for (const command of ['--version', '--help']) {
      assert.deepEqual([...packages(filesOf(command))], ['commander']);
      assert.deepEqual(commandFiles(filesOf(command)), []);
    }
    for (const command of ['user create --help', 'user list']) {
      assert.deepEqual(commandFiles(filesOf(command)), ['user']);
      const unwanted = [...packages(filesOf(command))].filter((name) =>
        /^(fastify|pg|pino|@aws-sdk|@smithy)/.test(name),
      );
      assert.deepEqual(unwanted, []);
    }
    assert.ok(filesOf('user list').length <= 700, `${filesOf('user list').length} files`);
  });
});
