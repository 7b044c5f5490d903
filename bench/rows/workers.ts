import { type Bench, inTurn, load, type Row, type Runs, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Columns, Line } from '../line.ts';
import { RegistryClient } from '../load/client.ts';
import { MANIFEST_TYPE, pushImage } from '../load/push.ts';
import { berthWith, type StartPeer, startDockerRegistry } from '../peers.ts';
import { cpuSeconds } from '../process.ts';
import { wrk } from '../wrk.ts';

const COLUMNS: Columns = ['2 workers', '1 worker', 'docker-registry'];
const REGISTRIES = [
  { name: '1 worker', start: berthWith({ args: ['--workers', '1'] }) },
  { name: '2 workers', start: berthWith({ args: ['--workers', '2'] }) },
  { name: 'docker-registry', start: startDockerRegistry },
] as const;
const NAME = 'bench/image';
const TAG = 'latest';
const CONNECTIONS = 16;
const STREAMS = 4;
const WARM_UP_SECONDS = 1;
const WARM_UP_MIB = 32;

interface GetFigures {
  readonly perSecond: number;
  /** Seconds for a thousand requests. */
  readonly cpu: number;
}

/** One machine with SQLite and files, served by one process and by two. */
export const workers: Row = {
  name: 'workers',
  async measure(bench) {
    const gets = await inTurn(bench, REGISTRIES, ({ start }) => getManifests(bench, start));
    const pushes = await inTurn(bench, REGISTRIES, ({ start }) => pushStreams(bench, start));
    return [...getLines(gets), pushLine(bench, pushes)];
  },
};

async function getManifests(bench: Bench, start: StartPeer): Promise<GetFigures> {
  await using peer = await startFresh(start, bench.disk, bench.signal);
  using client = new RegistryClient(peer.url);
  await pushImage(client, NAME, TAG);
  const urls = [`${peer.url}/v2/${NAME}/manifests/${TAG}`];
  const options = { urls, connections: CONNECTIONS, accept: MANIFEST_TYPE, signal: bench.signal };
  await wrk({ ...options, seconds: WARM_UP_SECONDS });
  const seconds = bench.sizes.briefSeconds;
  const before = await cpuSeconds(peer.pid);
  const { requestsPerSecond } = await wrk({ ...options, seconds });
  const spent = (await cpuSeconds(peer.pid)) - before;
  return { perSecond: requestsPerSecond, cpu: (spent / (requestsPerSecond * seconds)) * 1000 };
}

/** On tmpfs, so that only the CPU counts: the disk would limit every registry. */
async function pushStreams(bench: Bench, start: StartPeer): Promise<number> {
  await using peer = await startFresh(start, bench.tmpfs, bench.signal);
  await load(bench, 'push-big', peer.url, WARM_UP_MIB, STREAMS);
  const args = [bench.sizes.blobMib, STREAMS];
  const { mibPerSecond } = await load<{ mibPerSecond: number }>(bench, 'push-big', peer.url, ...args);
  return mibPerSecond;
}

function getLines(runs: Runs<GetFigures>): Line[] {
  return [
    {
      columns: COLUMNS,
      title: `GET manifest by tag, ${CONNECTIONS} connections`,
      unit: 'requests/s',
      better: 'higher',
      samples: samplesOf(runs, (figures) => figures.perSecond),
    },
    {
      columns: COLUMNS,
      title: 'GET manifest by tag, CPU of all processes',
      unit: 's/1000 requests',
      better: 'lower',
      samples: samplesOf(runs, (figures) => figures.cpu),
    },
  ];
}

function pushLine(bench: Bench, runs: Runs<number>): Line {
  return {
    columns: COLUMNS,
    title: `Push of ${bench.sizes.blobMib} MiB, ${STREAMS} streams, tmpfs`,
    unit: 'MiB/s',
    better: 'higher',
    samples: samplesOf(runs, (rate) => rate),
  };
}
