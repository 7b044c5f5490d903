// Makes the tables of docs/explanation/capacity-planning.md: measured costs, and figures of large registries computed from them.
import type { Column, Line } from './line.ts';
import { median } from './median.ts';
import { format, markdownTable, NOT_MEASURED } from './report.ts';

const BEGIN = '<!-- made by npm run bench: begin -->';
const END = '<!-- made by npm run bench: end -->';

/** Many nodes that start the same image at once. */
export const FLEET = {
  nodes: 10_000,
  imageBytes: 500e6,
  /** `/v2/`, the index by tag, the image's manifest by digest: all but the first ask the database once. */
  manifestRequests: 3,
  /** A config and nine layers. */
  blobRequests: 10,
  seconds: 300,
} as const;

/** The content that a large company has pushed in some years, and its daily pushes. */
export const ARCHIVE = {
  bytes: 1e15,
  blobBytes: 25e6,
  /** Of an image: its blobs, and those of them that no other image has. */
  blobsPerImage: 10,
  ownBlobsPerImage: 5,
  pushedPerDay: 10e12,
} as const;

const DAY_SECONDS = 86_400;
/** Of a network interface of 25 Gbit/s, without the share of headers. */
const NIC_BYTES_PER_SECOND = 3e9;

/** An amount of NaN was not measured. */
interface Fact {
  readonly what: string;
  readonly amount: number;
  readonly unit: string;
}

/** The page with its tables rendered from the measured lines and the description of the machine. */
export function renderPlan(page: string, lines: readonly Line[], machine: readonly string[]): string {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`the page has no '${BEGIN}' and '${END}'`);
  const costs = costsOf(lines);
  const tables = [
    `Measured on: ${machine.slice(0, 2).join('; ')}.`,
    '### Costs',
    factTable(Object.values(costs)),
    `### ${FLEET.nodes.toLocaleString('en')} nodes at once`,
    factTable(fleetFacts(costs)),
    '### A petabyte',
    factTable(archiveFacts(costs)),
  ];
  return `${before}${BEGIN}\n\n${tables.join('\n\n')}\n\n${END}${after}`;
}

function factTable(facts: readonly Fact[]): string {
  const rows = facts.map(({ what, amount, unit }) => [
    what,
    Number.isNaN(amount) ? NOT_MEASURED : `${format(amount)} ${unit}`.trim(),
  ]);
  return markdownTable([['What', 'How much'], ...rows]);
}

function costsOf(lines: readonly Line[]) {
  const cost = (what: string, unit: string, title: RegExp, column: Column): Fact => {
    const line = lines.find((line) => line.samples[column] !== undefined && title.test(line.title));
    return { what, unit, amount: line ? median(line.samples[column]!) : Number.NaN };
  };
  // Seconds for a thousand are milliseconds for each.
  const cpu = (what: string, title: RegExp) => cost(what, 'ms', title, '1 replica');
  const perGb = (what: string, title: RegExp) => cost(what, 's', title, 'berth');
  const row = (what: string, title: RegExp) => cost(what, 'bytes', title, 'PostgreSQL');
  return {
    manifest: cpu('CPU of Berth, a manifest by tag', /^GET manifest by tag, CPU of Berth/),
    manifestSql: cpu('CPU of PostgreSQL, a manifest by tag', /^GET manifest by tag, CPU of PostgreSQL/),
    redirect: cpu('CPU of Berth, a blob redirected', /^GET blob, redirected, CPU of Berth/),
    redirectSql: cpu('CPU of PostgreSQL, a blob redirected', /^GET blob, redirected, CPU of PostgreSQL/),
    image: cpu('CPU of Berth, a small image pushed', /^Push of small images, CPU of Berth/),
    imageSql: cpu('CPU of PostgreSQL, a small image pushed', /^Push of small images, CPU of PostgreSQL/),
    streamed: perGb(
      'CPU of Berth, a gigabyte streamed from S3',
      /^Pull .* streamed, 4 streams, CPU of Berth/,
    ),
    pushed: perGb('CPU of Berth, a gigabyte pushed to S3', /^Push .* to S3, 4 streams, CPU of Berth/),
    blob: row('a row for a blob', /^Size of each blob,/),
    held: row('a row for a blob in a repository', /^Size of each blob in a repository/),
    manifestRow: row('a row for a manifest, with its bytes', /^Size of each manifest of/),
    reference: row("a row for a manifest's reference to a blob", /^Size of each manifest's reference/),
    tag: row('a row for a tag', /^Size of each tag/),
  };
}

type Costs = ReturnType<typeof costsOf>;

function fleetFacts(costs: Costs): Fact[] {
  const { nodes, imageBytes, manifestRequests, blobRequests, seconds } = FLEET;
  const requests = nodes * (manifestRequests + blobRequests);
  const bytes = nodes * imageBytes;
  const cpuSeconds = (manifest: Fact, blob: Fact) =>
    (nodes * (manifestRequests * manifest.amount + blobRequests * blob.amount)) / 1000;
  const redirecting = cpuSeconds(costs.manifest, costs.redirect);
  const asking = cpuSeconds(costs.manifestSql, costs.redirectSql);
  const streaming = redirecting + (bytes / 1e9) * costs.streamed.amount;
  const within = `to be done in ${seconds} s`;
  return [
    { what: 'requests to Berth', amount: requests, unit: '' },
    { what: `requests to Berth a second, ${within}`, amount: requests / seconds, unit: '' },
    { what: 'requests to the bucket', amount: nodes * blobRequests, unit: '' },
    { what: 'bytes', amount: bytes / 1e12, unit: 'TB' },
    { what: `bytes a second, ${within}`, amount: bytes / seconds / 1e9, unit: 'GB/s' },
    {
      what: `network interfaces of 25 Gbit/s, ${within}`,
      amount: bytes / seconds / NIC_BYTES_PER_SECOND,
      unit: '',
    },
    { what: 'CPU of PostgreSQL', amount: asking, unit: 's' },
    { what: 'CPU of Berth, redirected', amount: redirecting, unit: 's' },
    { what: 'CPU of Berth, streamed', amount: streaming, unit: 's' },
    { what: `cores of PostgreSQL, ${within}`, amount: asking / seconds, unit: '' },
    { what: `cores of Berth, redirected, ${within}`, amount: redirecting / seconds, unit: '' },
    { what: `cores of Berth, streamed, ${within}`, amount: streaming / seconds, unit: '' },
  ];
}

function archiveFacts(costs: Costs): Fact[] {
  const { bytes, blobBytes, blobsPerImage, ownBlobsPerImage, pushedPerDay } = ARCHIVE;
  const blobs = bytes / blobBytes;
  const images = blobs / ownBlobsPerImage;
  const tables = [
    { what: 'blobs', rows: blobs, each: costs.blob },
    { what: 'blobs in repositories', rows: blobs, each: costs.held },
    { what: 'manifests', rows: images, each: costs.manifestRow },
    { what: 'references of manifests', rows: images * blobsPerImage, each: costs.reference },
    { what: 'tags', rows: images, each: costs.tag },
  ].map(({ what, rows, each }) => ({ what, rows, gigabytes: (rows * each.amount) / 1e9 }));
  const perSecond = pushedPerDay / DAY_SECONDS;
  const pushing = `at ${pushedPerDay / 1e12} TB pushed a day`;
  return [
    ...tables.map(({ what, rows, gigabytes }) => ({
      what: `${format(rows / 1e6)} million ${what}`,
      amount: gigabytes,
      unit: 'GB',
    })),
    { what: 'the database', amount: tables.reduce((sum, table) => sum + table.gigabytes, 0), unit: 'GB' },
    { what: `bytes a second, ${pushing}`, amount: perSecond / 1e6, unit: 'MB/s' },
    { what: `blobs a second, ${pushing}`, amount: perSecond / blobBytes, unit: '' },
    { what: `cores of Berth, ${pushing}`, amount: (perSecond / 1e9) * costs.pushed.amount, unit: '' },
  ];
}
