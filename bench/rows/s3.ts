import { type Bench, inTurn, load, type Row, type Runs, samplesOf } from '../bench.ts';
import { temporaryDirectory } from '../directory.ts';
import { startFresh } from '../launch.ts';
import type { Columns, Line } from '../line.ts';
import { RegistryClient } from '../load/client.ts';
import { berthWith, type StartPeer } from '../peers.ts';
import { cpuSeconds } from '../process.ts';
import { type S3, startS3, storageSettings } from '../services.ts';

const COLUMNS: Columns = ['berth', 'S3 itself'];
const SIDES = [{ name: 'berth' }, { name: 'S3 itself' }] as const;
const STREAMS = [1, 4] as const;
const WAYS = [
  ['streamed', false],
  ['redirected', true],
] as const;
const IMAGES_AT_ONCE = 8;
const WARM_UP_MIB = 32;
const WARM_UP_IMAGES = 20;
const BYTES_PER_GB = 1e9;

interface Loaded {
  readonly mibPerSecond: number;
  readonly bytes: number;
}

interface Moved {
  readonly mibPerSecond: number;
  /** Berth's CPU seconds for 10⁹ bytes; absent for S3 itself. */
  readonly cpuPerGb?: number;
}

/** The same bytes through Berth and directly to its S3 server, which is in memory, so that only the CPU counts. */
export const s3: Row = {
  name: 's3',
  async measure(bench) {
    const lines: Line[] = [];
    for (const streams of STREAMS) lines.push(...(await pushBig(bench, streams)));
    for (const streams of STREAMS) lines.push(...(await pullBig(bench, streams)));
    return [...lines, await pushSmall(bench)];
  },
};

/** Divides a fixed total among the streams: the S3 server holds up to three copies of it while it joins parts. */
function mibOf(bench: Bench, streams: number): number {
  return bench.sizes.blobMib / streams;
}

/** Every run into an empty bucket, deleted afterwards. */
async function pushBig(bench: Bench, streams: number): Promise<Line[]> {
  const mib = mibOf(bench, streams);
  const runs: Runs<Moved> = await inTurn(bench, SIDES, async ({ name }) => {
    await using server = await startFresh(startS3, bench.tmpfs, bench.signal);
    if (name === 'S3 itself') {
      const push = (mib: number) => load<Loaded>(bench, 's3-big', server.url, server.bucket, mib, streams);
      await push(WARM_UP_MIB);
      return await push(mib);
    }
    await using berth = await startFresh(berthOver(server, false), bench.disk, bench.signal);
    const push = (mib: number) => load<Loaded>(bench, 'push-big', berth.url, mib, streams);
    await push(WARM_UP_MIB);
    return await withCpu(berth.pid, () => push(mib));
  });
  return describe(`Push of ${mib} MiB to S3, ${streamsText(streams)}`, runs);
}

/** Pulls from the server's page cache. */
async function pullBig(bench: Bench, streams: number): Promise<Line[]> {
  const { disk, tmpfs, signal } = bench;
  const mib = mibOf(bench, streams);
  await using server = await startFresh(startS3, tmpfs, signal);
  await using directory = await temporaryDirectory(disk);
  const direct = await load<{ url: string }>(bench, 's3-big', server.url, server.bucket, mib);
  const lines: Line[] = [];
  let blob: string | undefined;
  for (const [way, redirect] of WAYS) {
    await using berth = await berthOver(server, redirect)(directory.path, signal);
    blob ??= (await load<{ blob: string }>(bench, 'push-big', berth.url, mib)).blob;
    const url = berth.url + blob;
    if (redirect) await expectRedirect(url);
    const runs: Runs<Moved> = await inTurn(bench, SIDES, async ({ name }) => {
      const pull = (url: string) => load<Loaded>(bench, 'pull-big', url, streams);
      return name === 'berth' ? withCpu(berth.pid, () => pull(url)) : pull(direct.url);
    });
    lines.push(...describe(`Pull of ${mib} MiB from S3, ${way}, ${streamsText(streams)}`, runs));
  }
  return lines;
}

async function pushSmall(bench: Bench): Promise<Line> {
  const { images } = bench.sizes;
  await using server = await startFresh(startS3, bench.tmpfs, bench.signal);
  await using berth = await startFresh(berthOver(server, false), bench.disk, bench.signal);
  const pushAs = {
    berth: (images: number) =>
      load<{ imagesPerSecond: number }>(bench, 'push-small', berth.url, images, IMAGES_AT_ONCE),
    'S3 itself': (images: number) =>
      load<{ imagesPerSecond: number }>(bench, 's3-small', server.url, server.bucket, images, IMAGES_AT_ONCE),
  };
  for (const { name } of SIDES) await pushAs[name](WARM_UP_IMAGES);
  const runs = await inTurn(bench, SIDES, ({ name }) => pushAs[name](images));
  return {
    columns: COLUMNS,
    title: `Push of ${images} small images to S3, ${IMAGES_AT_ONCE} at a time`,
    unit: 'images/s',
    better: 'higher',
    samples: samplesOf(runs, (figures) => figures.imagesPerSecond),
  };
}

/** A pull follows redirects, so this asserts that there is one. */
async function expectRedirect(url: string): Promise<void> {
  using client = new RegistryClient(url);
  await client.request('GET', url, { expect: 307 });
}

/** With SQLite, because these rows measure the store. */
function berthOver(server: S3, redirect: boolean): StartPeer {
  return berthWith({ env: storageSettings(server, redirect) });
}

async function withCpu(pid: number, work: () => Promise<Loaded>): Promise<Moved> {
  const before = await cpuSeconds(pid);
  const { mibPerSecond, bytes } = await work();
  const spent = (await cpuSeconds(pid)) - before;
  return { mibPerSecond, cpuPerGb: (spent / bytes) * BYTES_PER_GB };
}

function describe(title: string, runs: Runs<Moved>): Line[] {
  return [
    {
      columns: COLUMNS,
      title,
      unit: 'MiB/s',
      better: 'higher',
      samples: samplesOf(runs, (moved) => moved.mibPerSecond),
    },
    {
      columns: COLUMNS,
      title: `${title}, CPU of Berth`,
      unit: 's/GB',
      better: 'lower',
      samples: { berth: runs.berth!.map((moved) => moved.cpuPerGb!) },
    },
  ];
}

function streamsText(streams: number): string {
  return `${streams} ${streams === 1 ? 'stream' : 'streams'}`;
}
