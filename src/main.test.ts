import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nodeProblem } from '../bin/node-version.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'berth-main-'));
after(() => rmSync(folder, { recursive: true }));

/** Runs Node without the Berth settings in the environment of this process. */
async function node(argv: string[], { binary = process.execPath, cwd = folder, env = {} } = {}) {
  const child = spawn(binary, argv, { cwd, env: { PATH: process.env.PATH, ...env } });
  const [out, err, [exitCode, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { out, err, exitCode, signal };
}

/** Copies parts of this package, and links its dependencies, as npm would install them in `to`. */
function install(to: string, parts: string[]) {
  mkdirSync(join(to, 'src'), { recursive: true });
  for (const part of [...parts, 'package.json']) {
    cpSync(join(root, part), join(to, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(to, 'node_modules'));
}

const RIGHT = {
  out: 'the configuration is valid; no file read: neither berth.yaml nor /etc/berth/berth.yaml exists\n',
  err: '',
  exitCode: 0,
  signal: null,
};

describe('main.ts', () => {
  const main = join(root, 'src/main.ts');

  test('runs the command that the arguments name', async () => {
    assert.deepEqual(await node([main, 'config', 'check']), RIGHT);
  });

  test('ends quietly when the reader closes the pipe', async () => {
    const child = spawn(process.execPath, [main, 'reference'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    const [err, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    assert.deepEqual([exitCode, err], [141, '']);
  });

  test('reads berth.yaml of the working directory, and the environment', async () => {
    const cwd = mkdtempSync(join(folder, 'cwd-'));
    writeFileSync(join(cwd, 'berth.yaml'), 'listen: nowhere\n');
    const { err, exitCode } = await node([main, 'config', 'check'], { cwd, env: { BERTH_LOG_LEVEL: 'x' } });
    assert.equal(exitCode, 2);
    assert.match(err, /^ {2}berth\.yaml:1:9: listen is "nowhere"; allowed: HOST:PORT/m);
    assert.match(err, /^ {2}BERTH_LOG_LEVEL: log\.level is "x"; allowed: /m);
  });
});

describe('the launcher', () => {
  test('runs main.ts', async () => {
    assert.deepEqual(await node([join(root, 'bin/berth.js'), 'config', 'check']), RIGHT);
  });

  test('runs in node_modules, where Node does not strip types, without a warning', async () => {
    const installed = join(folder, 'node_modules/berth');
    install(installed, ['bin', 'src']);
    assert.deepEqual(await node([join(installed, 'bin/berth.js'), 'config', 'check']), RIGHT);

    // npm links the launcher into .bin under another name.
    mkdirSync(join(folder, 'node_modules/.bin'));
    symlinkSync('../berth/bin/berth.js', join(folder, 'node_modules/.bin/berth'));
    assert.deepEqual(await node([join(folder, 'node_modules/.bin/berth'), 'config', 'check']), RIGHT);
  });

  test('runs in any working directory after `npm install --global .`', async () => {
    const checkout = join(folder, 'checkout');
    install(checkout, ['bin', 'src']);
    const prefix = join(folder, 'global');
    execFileSync('npm', ['install', '--global', '--offline', '--prefix', prefix, '.'], {
      cwd: checkout,
      stdio: 'ignore',
    });
    assert.deepEqual(await node([join(prefix, 'bin/berth'), 'config', 'check']), RIGHT);
  });

  test('names the remedy if nothing is installed', async () => {
    const bare = join(folder, 'fresh clone');
    for (const part of ['bin', 'src', 'package.json']) {
      cpSync(join(root, part), join(bare, part), { recursive: true });
    }
    assert.deepEqual(await node([join(bare, 'bin/berth.js'), 'serve']), {
      out: '',
      err: `berth: the package commander is not installed: run \`npm install\` in ${bare}\n`,
      exitCode: 1,
      signal: null,
    });
  });

  test('runs threads in node_modules too', async () => {
    const installed = join(mkdtempSync(join(folder, 'threads-')), 'node_modules/berth');
    install(installed, ['bin']);
    const thread =
      "import { parentPort } from 'node:worker_threads'; parentPort!.postMessage('thread' as string);";
    writeFileSync(join(installed, 'src/thread.ts'), thread);
    writeFileSync(
      join(installed, 'src/main.ts'),
      `import { Worker } from 'node:worker_threads';
       const worker: Worker = new Worker(new URL('./thread.ts', import.meta.url));
       worker.on('message', (text: string) => process.stdout.write(text));`,
    );
    const { out, err } = await node([join(installed, 'bin/berth.js')]);
    assert.deepEqual({ out, err }, { out: 'thread', err: '' });
  });
});

describe('an older Node', () => {
  test('prints the version that is needed', () => {
    assert.equal(nodeProblem('26.0.0'), undefined);
    assert.equal(nodeProblem('100.1.2'), undefined);
    for (const version of ['8.17.0', '20.20.2', '25.9.0']) {
      assert.match(
        nodeProblem(version)!,
        new RegExp(`^Node\\.js 26 or newer is needed, and this is ${version}\\.`),
      );
    }
  });

  const old = ['/usr/bin/node', '/usr/bin/nodejs'].find((path) => existsSync(path));
  const version = old && execFileSync(old, ['--version'], { encoding: 'utf8' }).slice(1);
  const skip = !version || nodeProblem(version) === undefined ? 'this machine has no older Node' : false;

  test('starts the Node that npm has installed', { skip }, async () => {
    assert.deepEqual(await node([join(root, 'bin/berth.js'), 'config', 'check'], { binary: old! }), RIGHT);
    const { exitCode, err } = await node([join(root, 'bin/berth.js'), 'config', 'check', '--listen', 'x'], {
      binary: old!,
    });
    assert.equal(exitCode, 2);
    assert.match(err, /^ {2}--listen: listen is "x"/m);
  });

  test('installs silently, and prints what fails', { skip }, async () => {
    const fresh = join(folder, 'fresh');
    mkdirSync(fresh);
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      cpSync(join(root, file), join(fresh, file));
    const npm = async (...args: string[]) => {
      const env = { ...process.env, PATH: `${dirname(old!)}:${process.env.PATH}` };
      const child = spawn('npm', ['install', '--offline', '--no-fund', ...args], { cwd: fresh, env });
      const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
      return { out, err };
    };
    const { out, err } = await npm('--dry-run');
    assert.equal(err, '');
    assert.match(out, /^added \d+ packages in /m);
    assert.match((await npm('no-such-package-of-berth')).err, /^npm error code ENOTCACHED/);
  });

  test('forwards signals, and ends with the exit code of the newer Node', { skip }, async () => {
    const copy = join(folder, 'copy');
    install(copy, ['bin']);
    for (const [signal, answer] of [
      ['SIGTERM', "process.on('SIGTERM', () => process.exit(7));"],
      ['SIGINT', "process.on('SIGINT', () => process.exit(7));"],
      ['SIGTERM', ''],
    ] as const) {
      const main = `${answer} setInterval(() => {}, 1000); process.stdout.write('ready');`;
      writeFileSync(join(copy, 'src/main.ts'), main);
      const child = spawn(old!, [join(copy, 'bin/berth.js')], { stdio: ['ignore', 'pipe', 'pipe'] });
      await once(child.stdout, 'data');
      child.kill(signal);
      assert.deepEqual(await once(child, 'exit'), answer ? [7, null] : [null, signal]);
    }
  });

  test('prints the version that is needed if npm has installed no Node', { skip }, async () => {
    const bare = join(folder, 'bare');
    cpSync(join(root, 'bin'), join(bare, 'bin'), { recursive: true });
    cpSync(join(root, 'package.json'), join(bare, 'package.json'));
    const { exitCode, err } = await node([join(bare, 'bin/berth.js')], { binary: old! });
    assert.equal(exitCode, 1);
    assert.match(err, /^berth: Node\.js 26 or newer is needed/);
  });
});
