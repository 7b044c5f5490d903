import { link } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Bench, inTurn, load, type Row, type Runs, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Line } from '../line.ts';
import { type Peer, startBerth, startDockerRegistry, startNginx } from '../peers.ts';
import { cpuSeconds } from '../process.ts';

const BYTES_PER_GB = 1e9;

interface Pulled {
  readonly mibPerSecond: number;
  readonly cpuPerGb: number;
}

/** One blob from the page cache, compared with nginx, the fastest way to send a file. */
export const pull: Row = {
  name: 'pull',
  async measure(bench) {
    await using berth = await startFresh(startBerth, bench.disk, bench.signal);
    await using dockerRegistry = await startFresh(startDockerRegistry, bench.disk, bench.signal);
    await using nginx = await startFresh(startNginx, bench.disk, bench.signal);
    const inBerth = await pushBlob(bench, berth);
    const inDockerRegistry = await pushBlob(bench, dockerRegistry);
    await link(storedBlob(dockerRegistry, inDockerRegistry), join(nginx.directory, 'blob'));
    const blobs = new Map<Peer, string>([
      [berth, berth.url + inBerth],
      [dockerRegistry, dockerRegistry.url + inDockerRegistry],
      [nginx, `${nginx.url}/blob`],
    ]);

    const lines: Line[] = [];
    for (const streams of [1, 8]) {
      const runs = await inTurn(bench, [...blobs.keys()], (peer) =>
        pullFrom(bench, peer, blobs.get(peer)!, streams),
      );
      lines.push(...describe(bench, streams, runs));
    }
    return lines;
  },
};

async function pushBlob(bench: Bench, peer: Peer): Promise<string> {
  const { blob } = await load<{ blob: string }>(bench, 'push-big', peer.url, bench.sizes.blobMib);
  return blob;
}

/** Where CNCF distribution keeps the bytes of `/v2/<name>/blobs/sha256:<hex>`. */
function storedBlob(dockerRegistry: Peer, blob: string): string {
  const hex = basename(blob).replace('sha256:', '');
  const blobs = join(dockerRegistry.directory, 'data/docker/registry/v2/blobs/sha256');
  return join(blobs, hex.slice(0, 2), hex, 'data');
}

async function pullFrom(bench: Bench, peer: Peer, url: string, streams: number): Promise<Pulled> {
  const before = await cpuSeconds(peer.pid);
  const pulled = await load<{ mibPerSecond: number; bytes: number }>(bench, 'pull-big', url, streams);
  const cpu = (await cpuSeconds(peer.pid)) - before;
  return { mibPerSecond: pulled.mibPerSecond, cpuPerGb: (cpu / pulled.bytes) * BYTES_PER_GB };
}

function describe(bench: Bench, streams: number, runs: Runs<Pulled>): Line[] {
  const what = `${bench.sizes.blobMib} MiB blob, ${streams} ${streams === 1 ? 'stream' : 'streams'}`;
  const target = { kind: 'ratio', to: 'nginx', atLeast: 1 } as const;
  return [
    {
      title: `Pull of a ${what}`,
      unit: 'MiB/s',
      better: 'higher',
      samples: samplesOf(runs, (pulled) => pulled.mibPerSecond),
      target,
    },
    {
      title: `Server's CPU, pull of a ${what}`,
      unit: 's/GB',
      better: 'lower',
      samples: samplesOf(runs, (pulled) => pulled.cpuPerGb),
      target,
    },
  ];
}
