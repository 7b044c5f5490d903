import assert from 'node:assert/strict';
import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Config } from '../config/schema.ts';
import { createLogger } from './log.ts';

const JSON_LOG: Config['log'] = { level: 'info', format: 'json', access: true };

function collect(log: Config['log']) {
  const lines: string[] = [];
  return { lines, logger: createLogger(log, { write: (line: string) => void lines.push(line) }) };
}

/** Runs a script with a logger `log` that writes JSON to standard output. */
async function run(script: string, options: SpawnOptions = {}) {
  const module = new URL('./log.ts', import.meta.url).href;
  const source = `import { createLogger } from '${module}';
    const log = createLogger({ level: 'info', format: 'json', access: true });
    ${script}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  const [output, [exitCode]] = await Promise.all([
    text(child.stdout!),
    once(child, 'exit'),
    text(child.stderr!),
  ]);
  return { exitCode, lines: output.split('\n').filter(Boolean) };
}

test('a line is JSON with its level, an ISO time, its fields and its message', () => {
  const { lines, logger } = collect(JSON_LOG);
  logger.info({ repository: 'a/b', bytes: 3 }, 'request');
  const { time, ...rest } = JSON.parse(lines[0]!);
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(rest, { level: 'info', repository: 'a/b', bytes: 3, msg: 'request' });
  assert.equal(lines.length, 1);
});

test('events below the level are not logged, and silent logs nothing', () => {
  const warn = collect({ ...JSON_LOG, level: 'warn' });
  warn.logger.info('no');
  warn.logger.warn('yes');
  assert.equal(warn.lines.length, 1);
  const silent = collect({ ...JSON_LOG, level: 'silent' });
  silent.logger.fatal('no');
  assert.equal(silent.lines.length, 0);
});

test('hides credentials in headers, in either format', () => {
  for (const format of ['json', 'pretty'] as const) {
    const { lines, logger } = collect({ ...JSON_LOG, format });
    const headers = {
      authorization: 'Basic canary1',
      'proxy-authorization': 'Basic canary2',
      cookie: 'session=canary3',
      'set-cookie': ['session=canary4'],
      accept: '*/*',
    };
    logger.info({ headers, req: { headers }, res: { headers } }, 'request');
    logger.child({ headers }).info('request');
    assert.doesNotMatch(lines.join(''), /canary/);
    assert.match(lines.join(''), /\(hidden\)/);
    assert.match(lines.join(''), /\*\/\*/);
  }
});

test('a pretty event is one line', () => {
  const { lines, logger } = collect({ ...JSON_LOG, format: 'pretty' });
  logger.warn({ repository: 'a/b' }, 'slow');
  assert.match(lines.join(''), /^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: slow \{"repository":"a\/b"\}\n$/);
});

for (const [how, script, exitCode] of [
  ['normally', '', 0],
  ['by process.exit', 'process.exit(3);', 3],
  ['by an uncaught exception', 'throw new Error("fault");', 1],
] as const) {
  test(`every line is written when the process ends ${how}`, async () => {
    const ended = await run(`for (let i = 0; i < 5000; i++) log.info({ i }, 'line'); ${script}`);
    assert.equal(ended.exitCode, exitCode);
    assert.deepEqual(
      ended.lines.map((line) => JSON.parse(line).i),
      Array.from({ length: 5000 }, (_, i) => i),
    );
  });
}

test('writes a single line without waiting for more', async () => {
  const module = new URL('./log.ts', import.meta.url).href;
  const source = `import { createLogger } from '${module}';
    createLogger({ level: 'info', format: 'json', access: true }).info('alone');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source]);
  const [chunk] = await once(child.stdout, 'data');
  child.kill();
  assert.equal(JSON.parse(String(chunk)).msg, 'alone');
});

test('writes all of 35,000 lines in a second, some 250 per turn of the event loop', async () => {
  const { lines } = await run(`
    let i = 0;
    const start = performance.now();
    (function turn() {
      while (i < (performance.now() - start) * 35 && i < 35_000) log.info({ i: i++, repository: 'a/b', digest: 'x'.repeat(71) }, 'request');
      if (i < 35_000) setTimeout(turn, 7);
    })();`);
  assert.equal(lines.length, 35_000);
});

test('a closed standard output does not end the process', async () => {
  const module = new URL('./log.ts', import.meta.url).href;
  const source = `import { createLogger } from '${module}';
    const log = createLogger({ level: 'info', format: 'json', access: true });
    process.stdin.on('data', () => { log.info('unread'); setTimeout(() => process.exit(7), 300); });
    process.stderr.write('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source]);
  await once(child.stderr, 'data');
  child.stdout.destroy();
  child.stdin.write('go');
  const [exitCode] = await once(child, 'exit');
  assert.equal(exitCode, 7);
});
