import { inTurn, load, type Row, samplesOf } from '../bench.ts';
import type { Line } from '../line.ts';
import { REGISTRIES, startFresh } from '../peers.ts';

const WARM_UP_MIB = 32;

/** Every run starts on an empty registry and deletes it afterwards: the blobs of all would fill a disk. */
export const pushBig: Row = {
  name: 'push-big',
  async measure(bench) {
    const { blobMib } = bench.sizes;
    const lines: Line[] = [];
    for (const streams of [1, 4]) {
      const runs = await inTurn(bench, REGISTRIES, async ({ start }) => {
        await using peer = await startFresh(start, bench.disk, bench.signal);
        await load(bench, 'push-big', peer.url, WARM_UP_MIB, streams);
        return await load<{ mibPerSecond: number }>(bench, 'push-big', peer.url, blobMib, streams);
      });
      lines.push({
        title: `Push of ${blobMib} MiB, ${streams} ${streams === 1 ? 'stream' : 'streams'}, disk`,
        unit: 'MiB/s',
        better: 'higher',
        samples: samplesOf(runs, (pushed) => pushed.mibPerSecond),
        target: { kind: 'ratio', to: 'docker-registry', atLeast: 2.3 },
      });
    }
    return lines;
  },
};
