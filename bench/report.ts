import { type Columns, columnsOf, describeTarget, type Line, ratio, targetMet } from './line.ts';
import { median } from './median.ts';
import { berthArguments, dockerRegistryConfig, nginxConfig } from './peers.ts';
import { versitygwArguments } from './services.ts';

export const NOT_MEASURED = '–';

/** The tables for the terminal, with aligned columns. */
export function renderTables(lines: readonly Line[]): string {
  return tablesOf(lines)
    .map(({ columns, lines }) => alignedTable(tableRows(columns, lines)))
    .join('\n\n');
}

/** `results.md`: how it was measured, the tables, and every run. */
export function renderResults(lines: readonly Line[], machine: readonly string[], runs: number): string {
  return `# Results

Written by \`npm run bench\`; do not edit.

${machine.map((fact) => `- ${fact}`).join('\n')}

## How

Every program runs on this machine, on loopback, alone with one load generator (\`bench/load.ts\`, or wrk for GET of
manifests); the others are idle. Figures are medians of ${runs} runs, taken in turn: Berth, docker-registry, nginx, Berth, …;
\`sync\` before each. '× X' is how many times as good the first column is as X, whether more or less is better. '± noise':
a target of equality counts as met from 0.9 on. ${NOT_MEASURED}: not measured.

- HEAD is sent by \`bench/load/raw-http.ts\`: wrk waits for the body that the answer's Content-Length announces.
- Pulls read into one reused buffer a stream; the blob is in the page cache; each run is the median of three passes. CPU is
  the server's user and system time from \`/proc\`, children included, for each 10⁹ bytes sent.
- The rate with a token is that of a registry that requires one (\`--allow-anonymous none\`), compared with an open registry
  in the same run. Failed logins come from one address, with unknown names, from a thread of the load generator; they count
  as a flood if nine of ten are answered in time.
- Big pushes are POST, one streamed PATCH, PUT, each run into an empty registry; the bytes are made and hashed before the
  clock starts. Small images are a config of 1 KiB, layers of 4 KiB and 64 KiB and a manifest.
- docker-registry 2.8 does not page tags: its first and late page hold all of them. It accepts one tag a request, so the
  long lists are measured only with Berth, at ten tags a request. The start-up with many manifests is measured only with Berth.
- The memory row holds its uploads (as fast as the server takes them) and readers (64 KiB/s each) for some seconds and then
  cuts them off: a hundred whole gigabytes do not fit every disk. Peak memory is \`VmHWM\` of the process.
- Event-loop delay is the p99 that Berth's \`/metrics\` gives for the time of one push, with pulls during all of it.
- PostgreSQL is Debian's, as its package configures it; S3 is versitygw, over a directory in memory for the table with the
  column 'S3 itself', and on the disk for replicas. The S3 server without Berth is measured with the AWS SDK's multipart upload
  (parts of 16 MiB, four at a time) and with GETs of a presigned URL.
- Replicas, PostgreSQL, the S3 server and the load generator share the two cores, so that more replicas cannot be faster
  here; the figure that counts is the CPU of each program for a thousand requests, from \`/proc\`. The load goes to the replicas in
  turn, request by request, or over connections shared evenly; those without load are idle. Likewise, two workers and
  a load generator share two cores.
- The million tags and hundred thousand repositories are seeded by SQL, the same rows in both databases: through the API of
  docker-registry, at some hundred a second, they would take hours, so it has no figures there.
- The adopted tree was written by docker-registry through its API; the time is that of the whole command. A scrub runs as a
  process of its own at its default rate, beside the pull.
- The size of a row is that of its table with all indexes, divided by the number of rows, after inserts in random order.

Started as (\`DIR\` is an empty temporary directory, standard output and error go to a file in it):

\`\`\`sh
node ${berthArguments('DIR', 'PORT').join(' ')}
docker-registry serve DIR/config.yml
nginx -c DIR/nginx.conf
versitygw ${versitygwArguments('DIR/s3', 'PORT').join(' ')}
\`\`\`

\`\`\`text
${dockerRegistryConfig('DIR', 'PORT').trimEnd()}
\`\`\`

\`\`\`nginx
${nginxConfig('DIR', 'PORT').trimEnd()}
\`\`\`

## Tables

${tablesOf(lines)
  .map(({ columns, lines }) => markdownTable(tableRows(columns, lines)))
  .join('\n\n')}

## Every run

${tablesOf(lines)
  .map(({ columns, lines }) => markdownTable(sampleRows(columns, lines)))
  .join('\n\n')}
`;
}

interface Table {
  readonly columns: Columns;
  readonly lines: readonly Line[];
}

/** Groups lines with the same columns, in the order of their first lines. */
function tablesOf(lines: readonly Line[]): Table[] {
  const byColumns = Map.groupBy(lines, (line) => columnsOf(line).join());
  return [...byColumns.values()].map((lines) => ({ columns: columnsOf(lines[0]!), lines }));
}

function tableRows([subject, ...others]: Columns, lines: readonly Line[]): string[][] {
  const columns = [subject, ...others];
  const head = ['Measured', 'Unit', ...columns, ...others.map((other) => `× ${other}`), 'Target', 'Met'];
  const rows = lines.map((line) => [
    line.title,
    line.unit,
    ...columns.map((column) => formatMedian(line.samples[column])),
    ...others.map((other) => format(ratio(line, line.samples[other]))),
    describeTarget(line.target),
    formatVerdict(targetMet(line)),
  ]);
  return [head, ...rows];
}

function sampleRows(columns: Columns, lines: readonly Line[]): string[][] {
  const formatAll = (samples: readonly number[] | undefined) =>
    samples?.map(format).join(' · ') ?? NOT_MEASURED;
  const rows = lines.map((line) => [line.title, ...columns.map((column) => formatAll(line.samples[column]))]);
  return [['Measured', ...columns], ...rows];
}

function alignedTable(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')).join('\n');
}

export function markdownTable([head, ...rows]: readonly string[][]): string {
  const separator = head!.map(() => '---');
  return [head!, separator, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function formatMedian(samples: readonly number[] | undefined): string {
  return format(samples && median(samples));
}

/** Formats with three significant digits. */
export function format(value: number | undefined): string {
  if (value === undefined) return NOT_MEASURED;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function formatVerdict(met: boolean | undefined): string {
  if (met === undefined) return '';
  return met ? 'yes' : 'NO';
}
