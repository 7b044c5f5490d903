// npm run bench: starts Berth and its peers on this machine, measures them in turn, and prints the tables.
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { type Bench, FULL, QUICK, type Row } from './bench.ts';
import type { Line } from './line.ts';
import { describeMachine } from './machine.ts';
import { renderPlan } from './plan.ts';
import { renderResults, renderTables } from './report.ts';
import { adopt } from './rows/adopt.ts';
import { authenticated } from './rows/authenticated.ts';
import { catalog } from './rows/catalog.ts';
import { databaseSize } from './rows/database-size.ts';
import { eventLoop } from './rows/event-loop.ts';
import { garbage } from './rows/garbage.ts';
import { loginFlood } from './rows/login-flood.ts';
import { memory } from './rows/memory.ts';
import { pages } from './rows/pages.ts';
import { postgres } from './rows/postgres.ts';
import { pull } from './rows/pull.ts';
import { pushBig } from './rows/push-big.ts';
import { pushSmall } from './rows/push-small.ts';
import { replicas } from './rows/replicas.ts';
import { requests } from './rows/requests.ts';
import { s3 } from './rows/s3.ts';
import { scrub } from './rows/scrub.ts';
import { startup } from './rows/startup.ts';
import { tags } from './rows/tags.ts';
import { workers } from './rows/workers.ts';

const ROWS: readonly Row[] = [
  requests,
  authenticated,
  pull,
  loginFlood,
  pushBig,
  pushSmall,
  tags,
  catalog,
  memory,
  eventLoop,
  startup,
  workers,
  postgres,
  s3,
  replicas,
  pages,
  databaseSize,
  garbage,
  scrub,
  adopt,
];
const RESULTS = join(import.meta.dirname, 'results.md');
const PLAN = join(import.meta.dirname, '../docs/explanation/capacity-planning.md');
const TIME_LIMIT_MINUTES = 60;
const INTERRUPTED = 130;

const USAGE = `npm run bench -- [--only ROW]… [--runs N] [--quick]
  --only ROW  only this row; may be repeated: ${ROWS.map((row) => row.name).join(' ')}
  --runs N    runs of each row, 3 by default
  --quick     small sizes and one run, to check that the benchmark works
A whole run at full size writes bench/results.md, and the tables of docs/explanation/capacity-planning.md.`;

const options = parseOptions();
const rows = options.only === undefined ? ROWS : ROWS.filter((row) => options.only!.includes(row.name));
const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort());
const bench: Bench = {
  sizes: options.quick ? QUICK : FULL,
  runs: options.runs,
  disk: tmpdir(),
  tmpfs: '/dev/shm',
  signal: AbortSignal.any([interrupt.signal, AbortSignal.timeout(TIME_LIMIT_MINUTES * 60_000)]),
};

const machine = await describeMachine(bench);
console.log(machine.join('\n'));
const { lines, complete } = await measure(rows);
console.log(`\n${renderTables(lines)}`);
if (!complete) process.exitCode = interrupt.signal.aborted ? INTERRUPTED : 1;
else if (rows === ROWS && !options.quick) {
  await writeFile(RESULTS, renderResults(lines, machine, bench.runs));
  await writeFile(PLAN, renderPlan(await readFile(PLAN, 'utf8'), lines, machine));
}

/** A failed row has no lines; the other rows still have theirs. */
async function measure(rows: readonly Row[]): Promise<{ lines: Line[]; complete: boolean }> {
  const lines: Line[] = [];
  let complete = true;
  for (const row of rows) {
    const begin = performance.now();
    try {
      lines.push(...(await row.measure(bench)));
      console.log(`${row.name}: ${((performance.now() - begin) / 1000).toFixed(0)} s`);
    } catch (error) {
      complete = false;
      console.error(`${row.name}: ${bench.signal.aborted ? 'stopped' : inspect(error)}`);
    }
  }
  return { lines, complete };
}

function parseOptions(): { only: string[] | undefined; runs: number; quick: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        runs: { type: 'string' },
        quick: { type: 'boolean', default: false },
      },
    });
    const unknown = values.only?.find((name) => !ROWS.some((row) => row.name === name));
    if (unknown !== undefined) throw new Error(`no row '${unknown}'`);
    const runs = Number(values.runs ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs takes a count, not '${values.runs}'`);
    return { only: values.only, runs, quick: values.quick };
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}
