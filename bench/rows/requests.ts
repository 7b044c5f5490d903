import { type Bench, inTurn, load, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Line, Target } from '../line.ts';
import { RegistryClient } from '../load/client.ts';
import { MANIFEST_TYPE, type PushedImage, pushImage } from '../load/push.ts';
import { type Peer, startBerth, startDockerRegistry } from '../peers.ts';
import { wrk } from '../wrk.ts';

const NAME = 'bench/image';
const TAG = 'latest';
const CONNECTIONS = 16;
const WARM_UP_SECONDS = 1;

/** Small requests, as many as 16 connections can ask for. */
export const requests: Row = {
  name: 'requests',
  async measure(bench) {
    await using berth = await startFresh(startBerth, bench.disk, bench.signal);
    await using dockerRegistry = await startFresh(startDockerRegistry, bench.disk, bench.signal);
    const images = new Map<Peer, PushedImage>();
    for (const peer of [berth, dockerRegistry]) {
      using client = new RegistryClient(peer.url);
      images.set(peer, await pushImage(client, NAME, TAG));
    }
    const measureRate = (
      title: string,
      rate: (peer: Peer, seconds: number) => Promise<number>,
      target?: Target,
    ) => rateLine(bench, [berth, dockerRegistry], title, rate, target);

    return [
      await measureRate(
        `GET manifest by tag, ${CONNECTIONS} connections`,
        async (peer, seconds) => {
          const urls = [`${peer.url}/v2/${NAME}/manifests/${TAG}`];
          const options = { urls, connections: CONNECTIONS, seconds, accept: MANIFEST_TYPE };
          return (await wrk({ ...options, signal: bench.signal })).requestsPerSecond;
        },
        { kind: 'ratio', to: 'docker-registry', atLeast: 20 },
      ),
      await measureRate(`HEAD manifest by digest, ${CONNECTIONS} connections`, (peer, seconds) =>
        head(bench, `${peer.url}/v2/${NAME}/manifests/${images.get(peer)!.digest}`, seconds),
      ),
      await measureRate(`HEAD blob, ${CONNECTIONS} connections`, (peer, seconds) =>
        head(bench, `${peer.url}/v2/${NAME}/blobs/${images.get(peer)!.config.digest}`, seconds),
      ),
    ];
  },
};

async function rateLine(
  bench: Bench,
  peers: readonly Peer[],
  title: string,
  rate: (peer: Peer, seconds: number) => Promise<number>,
  target?: Target,
): Promise<Line> {
  for (const peer of peers) await rate(peer, WARM_UP_SECONDS);
  const runs = await inTurn(bench, peers, (peer) => rate(peer, bench.sizes.requestSeconds));
  const samples = samplesOf(runs, (figure) => figure);
  return { title, unit: 'requests/s', better: 'higher', samples, ...(target && { target }) };
}

async function head(bench: Bench, url: string, seconds: number): Promise<number> {
  const args = [CONNECTIONS, seconds];
  const { requestsPerSecond } = await load<{ requestsPerSecond: number }>(bench, 'head', url, ...args);
  return requestsPerSecond;
}
