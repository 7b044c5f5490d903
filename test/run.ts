// What `npm test` runs: every *.test.ts of src/ and test/, or those whose path begins with one of the arguments
// (`npm test -- test/clients src/oci`). Installs the programs that they need, and ends every process that they leave.
import { chmodSync, globSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import { spec, type TestEvent } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { backendNames, whyNoBackend } from './support/backend-names.ts';
import { batchFiles } from './support/batches.ts';
import { importedBy, installTools, toolsNeeded } from './support/install-tools.ts';
import { endLeftovers } from './support/leftovers.ts';
import { isInstalled } from './support/needs.ts';
import { sharedServer, startSharedServer } from './support/postgres-server.ts';
import { sharedTemplate, writeMigratedSqlite } from './support/sqlite-template.ts';

const minute = 60_000;
const quickStart = new URL('../bin/quick-start.js', import.meta.url).href;
process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const wanted = process.argv.slice(2).map((path) => path.replace(/^\.\//, ''));
const files = globSync('{src,test}/**/*.test.ts')
  .filter((file) => wanted.length === 0 || wanted.some((path) => file.startsWith(path)))
  .sort();
if (files.length === 0) {
  console.error(`No test file's path begins with ${wanted.join(' or ')}`);
  process.exit(1);
}

// The folders of test/ contain the files that start processes.
const isHeavy = (file: string) => /^test\/(?!support\/)[^/]+\//.test(file);
const [usual, ...otherBackends] = backendNames;
/** Tests of the protocol that choose their databases themselves. */
const ofOwnBackend = ['src/v2/limits.test.ts', 'src/v2/worst-input.test.ts'];
/** The protocol's tests, which are the same for all backends. */
const isProtocol = (file: string) =>
  file.startsWith('src/v2/') &&
  importedBy([file]).has('test/support/inject.ts') &&
  !ofOwnBackend.includes(file);

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

installTools(files);

// Most processes load all of Berth: the cache lets them compile it only once.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/tests', import.meta.url));

// Every process that a test starts inherits this directory in its environment; leftovers are found by it.
const temporary = mkdtempSync(join(tmpdir(), 'berth-test-'));
process.env.TMPDIR = temporary;
// PostgreSQL, which does not run as root, may have its data in here too.
chmodSync(temporary, 0o711);
const postgres =
  toolsNeeded(files).includes('postgres') && isInstalled('postgres') ? await startSharedServer() : undefined;
if (postgres) process.env[sharedServer] = postgres.url;
const template = join(temporary, 'template.db');
await writeMigratedSqlite(template);
process.env[sharedTemplate] = template;

const sums = new Map<string, number>();
/** Seconds that the tests of each file took, over all backends. */
const times = new Map<string, number>();
const skipped: string[] = [];
let success = false;

/** The test files and batches, heavy files first, so that the cores share the small ones at the end. */
function modules(): string[] {
  // In reverse order, because those of the replicas take longest.
  const heavy = files.filter(isHeavy).toReversed();
  const light = files.filter((file) => !isHeavy(file));
  const batches = batchFiles(light, usual, join(temporary, 'batches'));
  for (const backend of otherBackends) {
    const reason = whyNoBackend(backend);
    if (reason !== undefined) skipped.push(`the protocol over ${backend}: ${reason}`);
    else batches.push(...batchFiles(light.filter(isProtocol), backend, join(temporary, 'batches', backend)));
  }
  return [...heavy, ...batches];
}

/** The events of the run, without the sums of single files. */
async function* events(): AsyncGenerator<TestEvent> {
  const stream: AsyncIterable<TestEvent> = run({
    files: modules(),
    // As in `berth` itself: loads libraries of many modules in less time.
    execArgv: ['--import', quickStart],
    // One more than cores, as the heavy files wait for their processes and for outages part of the time.
    concurrency: availableParallelism() + 1,
    timeout: 5 * minute,
    // Otherwise a test that has timed out would keep its process running, and with it the whole run.
    forceExit: true,
    signal: interrupted.signal,
  });
  for await (const event of stream) {
    if (event.type === 'test:pass' || event.type === 'test:fail') addTime(event.data);
    if (event.type === 'test:pass' && event.data.skip) skipped.push(`${event.data.name}: ${event.data.skip}`);
    const sum = parseSum(event);
    if (sum) sums.set(sum.name, (sums.get(sum.name) ?? 0) + sum.value);
    else if (event.type !== 'test:summary') yield event;
    else if (event.data.file === undefined) {
      success = event.data.success;
      yield event; // the reporter then lists the failures
    }
  }
}

function addTime({ file, nesting, details }: Extract<TestEvent, { type: 'test:pass' }>['data']): void {
  if (nesting !== 0 || file === undefined) return;
  const path = relative('.', file);
  times.set(path, (times.get(path) ?? 0) + details.duration_ms / 1_000);
}

/** Parses `tests 12`, `pass 11`, …, with which each run of node:test ends. */
function parseSum(event: TestEvent): { name: string; value: number } | undefined {
  if (event.type !== 'test:diagnostic' || event.data.nesting !== 0) return undefined;
  const match = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/.exec(
    event.data.message,
  );
  return match ? { name: match[1]!, value: Number(match[2]) } : undefined;
}

await pipeline(events(), new spec(), process.stdout, { end: false });

await postgres?.stop();
const leftovers = await endLeftovers(temporary);
await rm(temporary, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });

const list = (title: string, lines: readonly string[]) => {
  if (lines.length > 0) console.log(`\n${title}:\n${lines.map((line) => `  ${line}\n`).join('')}`);
};
const slowest = [...times].sort(([, a], [, b]) => b - a).slice(0, 20);
list(
  'Slowest files, in seconds',
  slowest.map(([file, seconds]) => `${seconds.toFixed(1).padStart(6)} ${file}`),
);
list('Skipped', skipped);
list('Still running after the tests', leftovers);
for (const [name, value] of sums) console.log(`# ${name} ${value}`);
process.exitCode = success && leftovers.length === 0 && !interrupted.signal.aborted ? 0 : 1;
