import { inTurn, load, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import { REGISTRIES } from '../peers.ts';
import { peakResidentMib } from '../process.ts';

interface Held {
  readonly uploadsHeld: number;
  readonly readersHeld: number;
}

/** Uploads as fast as the server takes them beside readers of 64 KiB/s: neither may pile up in memory. */
export const memory: Row = {
  name: 'memory',
  async measure(bench) {
    const { blobMib, held, holdSeconds } = bench.sizes;
    const runs = await inTurn(bench, REGISTRIES, async ({ name, start }) => {
      await using peer = await startFresh(start, bench.disk, bench.signal);
      const { blob } = await load<{ blob: string }>(bench, 'push-big', peer.url, blobMib);
      const { uploadsHeld, readersHeld } = await load<Held>(bench, 'hold', peer.url, blob, held, holdSeconds);
      if (uploadsHeld < held || readersHeld < held) {
        throw new Error(`${name} held ${uploadsHeld} uploads and ${readersHeld} readers of ${held} each`);
      }
      return await peakResidentMib(peer.pid);
    });
    return [
      {
        title: `Peak memory, ${held} uploads and ${held} slow readers of 1 GiB at once`,
        unit: 'MiB',
        better: 'lower',
        samples: samplesOf(runs, (peak) => peak),
        target: { kind: 'limit', under: 300 },
      },
    ];
  },
};
