// Measures the start of a command: CPU time and the files it loads.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = join(root, 'bin/berth.js');

/** Reports the usage of the process at its end, on its own channel. */
const probe = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  import { writeSync } from 'node:fs';
  const files = [];
  if (process.env.LIST_FILES) {
    registerHooks({ load: (url, context, next) => (files.push(url), next(url, context)) });
  }
  process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    const strips = process.moduleLoadList.some((name) => name.includes('amaro'));
    writeSync(3, JSON.stringify({ milliseconds: (user + system) / 1000, files, strips }));
  });
`)}`;

interface Used {
  /** CPU time, in user mode and in the kernel. */
  readonly milliseconds: number;
  readonly files: readonly string[];
  /** Whether the code that strips types was loaded, which alone takes 50 ms. */
  readonly strips: boolean;
}

function use(argv: readonly string[], { listFiles = false } = {}): Used {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const { status, output } = spawnSync(process.execPath, ['--import', probe, ...argv], {
    env: { ...env, ...(listFiles && { LIST_FILES: '1' }) },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  assert.equal(status, 0, output[2] ?? '');
  return JSON.parse(output[3] as string);
}

const limit = 350;
/** The CPU time of an empty program on a machine where a command takes exactly the limit. */
const emptyAtLimit = 45;

/** The minimum of several runs, as other work on the machine only adds time. */
function least(argv: readonly string[], enough: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 15 && least > enough; run += 1) least = Math.min(least, use(argv).milliseconds);
  return least;
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
    await t.test(`berth ${command} takes at most 0.35 s of CPU time`, () => {
      // Fills the cache.
      use(argvOf(command));
      const took = least(argvOf(command), limit);
      if (took > limit) {
        const slower = least(['--eval', '0'], emptyAtLimit) / emptyAtLimit;
        assert.ok(took <= limit * slower, `${took} ms`);
      }
      assert.equal(use(argvOf(command)).strips, false, 'types are stripped once, not at each start');
    });
  }

  await t.test('loads only the file of the command, and no client of PostgreSQL or S3', () => {
    const loaded = (command: string) => use(argvOf(command), { listFiles: true }).files;
    const commandFiles = (files: readonly string[]) =>
      files.flatMap(
        (file) => /\/src\/cli\/(serve|user|org|team|robot|grant|trust|fsck|key)\.ts$/.exec(file)?.[1] ?? [],
      );
    const packages = (files: readonly string[]) =>
      new Set(files.flatMap((file) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []));
    for (const command of ['--version', '--help']) {
      assert.deepEqual([...packages(loaded(command))], ['commander']);
      assert.deepEqual(commandFiles(loaded(command)), []);
    }
    for (const command of ['user create --help', 'user list']) {
      assert.deepEqual(commandFiles(loaded(command)), ['user']);
      const unwanted = [...packages(loaded(command))].filter((name) =>
        /^(fastify|pg|pino|@aws-sdk|@smithy)/.test(name),
      );
      assert.deepEqual(unwanted, []);
    }
  });
});
