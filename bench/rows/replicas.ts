import { type Bench, inTurn, load, type Row, type Runs, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Columns, Line } from '../line.ts';
import { RegistryClient } from '../load/client.ts';
import { MANIFEST_TYPE, pushImage } from '../load/push.ts';
import { berthWith, type Peer } from '../peers.ts';
import { cpuSeconds } from '../process.ts';
import { databaseSettings, startPostgres, startS3, storageSettings } from '../services.ts';
import { wrk } from '../wrk.ts';

const COLUMNS: Columns = ['4 replicas', '2 replicas', '1 replica'];
const GROUPS = [
  { name: '1 replica', count: 1 },
  { name: '2 replicas', count: 2 },
  { name: '4 replicas', count: 4 },
] as const;
const MOST = 4;
const NAME = 'bench/image';
const TAG = 'latest';
const CONNECTIONS = 16;
const PUSHES_AT_ONCE = 8;
const WARM_UP_SECONDS = 1;
const WARM_UP_IMAGES = 20;

type Program = 'Berth' | 'PostgreSQL' | 'S3';
type Pids = Readonly<Partial<Record<Program, readonly number[]>>>;

interface Work {
  readonly title: string;
  /** The unit that is counted. */
  readonly unit: 'requests' | 'images';
  /** How long to send requests, in seconds, or how many images to push. */
  readonly amount: number;
  readonly warmUp: number;
  /** The processes that do the work. */
  readonly pids: Pids;
  /** Spreads the load evenly over the replicas. */
  run(urls: readonly string[], amount: number): Promise<{ count: number; perSecond: number }>;
}

interface Figures {
  readonly perSecond: number;
  /** CPU seconds of each program for 1000 of the unit. */
  readonly cpu: Readonly<Partial<Record<Program, number>>>;
}

/** The same load on one, two and four replicas of one registry; those without load are idle. */
export const replicas: Row = {
  name: 'replicas',
  async measure(bench) {
    const { disk, signal } = bench;
    await using postgres = await startPostgres();
    await using s3 = await startFresh(startS3, disk, signal);
    const env = { ...databaseSettings(await postgres.createDatabase()), ...storageSettings(s3, true) };
    await using stack = new AsyncDisposableStack();
    const peers: Peer[] = [];
    while (peers.length < MOST) peers.push(stack.use(await startFresh(berthWith({ env }), disk, signal)));

    const urls = peers.map((peer) => peer.url);
    const pids = { Berth: peers.map((peer) => peer.pid), PostgreSQL: [postgres.pid], S3: [s3.pid] };
    const lines: Line[] = [];
    for (const work of await worksOn(bench, urls[0]!, pids)) {
      await work.run(urls, work.warmUp);
      const runs = await inTurn(bench, GROUPS, ({ count }) => measureCpu(work, urls.slice(0, count)));
      lines.push(...describe(work, runs));
    }
    return lines;
  },
};

async function worksOn(bench: Bench, url: string, pids: Required<Pids>): Promise<Work[]> {
  using client = new RegistryClient(url);
  const { config } = await pushImage(client, NAME, TAG);
  const manifest = `/v2/${NAME}/manifests/${TAG}`;
  const blob = `/v2/${NAME}/blobs/${config.digest}`;
  // wrk accepts any 2xx or 3xx, so this asserts that the blob is redirected.
  await client.request('GET', blob, { expect: 307 });
  const { Berth, PostgreSQL } = pids;
  const asking = {
    unit: 'requests',
    amount: bench.sizes.briefSeconds,
    warmUp: WARM_UP_SECONDS,
    pids: { Berth, PostgreSQL },
  } as const;
  return [
    { ...asking, title: 'GET manifest by tag', run: (urls, seconds) => get(bench, urls, manifest, seconds) },
    { ...asking, title: 'HEAD blob', run: (urls, seconds) => head(bench, urls, blob, seconds) },
    { ...asking, title: 'GET blob, redirected', run: (urls, seconds) => get(bench, urls, blob, seconds) },
    {
      title: 'Push of small images',
      unit: 'images',
      amount: bench.sizes.images,
      warmUp: WARM_UP_IMAGES,
      pids,
      run: (urls, images) => push(bench, urls, images),
    },
  ];
}

async function get(bench: Bench, urls: readonly string[], path: string, seconds: number) {
  const options = { connections: CONNECTIONS, seconds, accept: MANIFEST_TYPE, signal: bench.signal };
  const { requestsPerSecond } = await wrk({ urls: urls.map((url) => url + path), ...options });
  return { count: requestsPerSecond * seconds, perSecond: requestsPerSecond };
}

async function head(bench: Bench, urls: readonly string[], path: string, seconds: number) {
  const list = urls.map((url) => url + path).join();
  const args = [CONNECTIONS, seconds];
  const { requestsPerSecond } = await load<{ requestsPerSecond: number }>(bench, 'head', list, ...args);
  return { count: requestsPerSecond * seconds, perSecond: requestsPerSecond };
}

async function push(bench: Bench, urls: readonly string[], images: number) {
  const args = [images, PUSHES_AT_ONCE];
  const pushed = await load<{ imagesPerSecond: number }>(bench, 'push-small', urls.join(), ...args);
  return { count: images, perSecond: pushed.imagesPerSecond };
}

async function measureCpu(work: Work, urls: readonly string[]): Promise<Figures> {
  const before = await cpuOf(work.pids);
  const { count, perSecond } = await work.run(urls, work.amount);
  const after = await cpuOf(work.pids);
  const cpu: Figures['cpu'] = Object.fromEntries(
    programsOf(work).map((program) => [program, ((after[program]! - before[program]!) / count) * 1000]),
  );
  return { perSecond, cpu };
}

async function cpuOf(pids: Pids): Promise<Partial<Record<Program, number>>> {
  const sums = Object.entries(pids).map(async ([program, all]) => {
    const seconds = await Promise.all(all.map(cpuSeconds));
    return [program, seconds.reduce((a, b) => a + b)] as const;
  });
  return Object.fromEntries(await Promise.all(sums));
}

function programsOf({ pids }: Work): Program[] {
  return Object.keys(pids) as Program[];
}

function describe(work: Work, runs: Runs<Figures>): Line[] {
  const { title, unit } = work;
  return [
    {
      columns: COLUMNS,
      title: `${title}, load spread over replicas`,
      unit: `${unit}/s`,
      better: 'higher',
      samples: samplesOf(runs, (figures) => figures.perSecond),
    },
    ...programsOf(work).map(
      (program): Line => ({
        columns: COLUMNS,
        title: `${title}, CPU of ${program}`,
        unit: `s/1000 ${unit}`,
        better: 'lower',
        samples: samplesOf(runs, (figures) => figures.cpu[program]!),
      }),
    ),
  ];
}
