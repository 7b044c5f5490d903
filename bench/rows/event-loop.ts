import { inTurn, load, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import { RegistryClient } from '../load/client.ts';
import { type Peer, startBerth } from '../peers.ts';

const DELAY_P99 = /^nodejs_eventloop_lag_p99_seconds(?:\{[^}]*\})? (\S+)$/m;

/** Measures only Berth, because the other registries have no event loop; the delay is from its `/metrics`. */
export const eventLoop: Row = {
  name: 'event-loop',
  async measure(bench) {
    const { blobMib } = bench.sizes;
    await using berth = await startFresh(startBerth, bench.disk, bench.signal);
    const { blob } = await load<{ blob: string }>(bench, 'push-big', berth.url, blobMib);
    const runs = await inTurn(bench, [berth], async (peer) => {
      // Each reading covers the time since the one before; this one discards the time before the run.
      await delayP99Ms(peer);
      await load(bench, 'push-while-pulling', peer.url, blob, blobMib);
      return delayP99Ms(peer);
    });
    return [
      {
        title: `Event-loop delay p99 while ${blobMib} MiB are pushed and pulled`,
        unit: 'ms',
        better: 'lower',
        samples: samplesOf(runs, (delay) => delay),
        target: { kind: 'limit', under: 50 },
      },
    ];
  },
};

async function delayP99Ms(peer: Peer): Promise<number> {
  using client = new RegistryClient(peer.url);
  const { body } = await client.request('GET', '/metrics', { expect: 200 });
  const seconds = DELAY_P99.exec(body.toString())?.[1];
  if (seconds === undefined) throw new Error('no event-loop delay in /metrics');
  return Number(seconds) * 1000;
}
