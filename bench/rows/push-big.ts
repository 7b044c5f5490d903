import { type Bench, inTurn, load, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Line } from '../line.ts';
import { REGISTRIES } from '../peers.ts';

const WARM_UP_MIB = 32;

/** Pushes to the disk, whose speed limits every registry, and to memory, where only the CPU counts. */
export const pushBig: Row = {
  name: 'push-big',
  async measure(bench) {
    const lines: Line[] = [];
    for (const place of ['disk', 'tmpfs'] as const) {
      for (const streams of [1, 4]) lines.push(await pushInto(bench, place, streams));
    }
    return lines;
  },
};

/** Every run starts with an empty registry and deletes it afterwards: the blobs of all runs together would fill a disk. */
async function pushInto(bench: Bench, place: 'disk' | 'tmpfs', streams: number): Promise<Line> {
  const { blobMib } = bench.sizes;
  const runs = await inTurn(bench, REGISTRIES, async ({ start }) => {
    await using peer = await startFresh(start, bench[place], bench.signal);
    await load(bench, 'push-big', peer.url, WARM_UP_MIB, streams);
    return await load<{ mibPerSecond: number }>(bench, 'push-big', peer.url, blobMib, streams);
  });
  return {
    title: `Push of ${blobMib} MiB, ${streams} ${streams === 1 ? 'stream' : 'streams'}, ${place}`,
    unit: 'MiB/s',
    better: 'higher',
    samples: samplesOf(runs, (pushed) => pushed.mibPerSecond),
    target: { kind: 'ratio', to: 'docker-registry', atLeast: 2.3 },
  };
}
