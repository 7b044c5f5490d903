import { inTurn, load, type Row, samplesOf } from '../bench.ts';
import { temporaryDirectory } from '../directory.ts';
import { startFresh } from '../launch.ts';
import type { Line } from '../line.ts';
import { REGISTRIES, startBerth } from '../peers.ts';

const LIMIT_MS = 1000;

/** From starting the program to its first answer, polled every few milliseconds. */
export const startup: Row = {
  name: 'startup',
  async measure(bench) {
    const empty = await inTurn(bench, REGISTRIES, async ({ start }) => {
      await using peer = await startFresh(start, bench.disk, bench.signal);
      return peer.readyAfter;
    });

    await using directory = await temporaryDirectory(bench.disk);
    {
      await using seeded = await startBerth(directory.path, bench.signal);
      await load(bench, 'manifests', seeded.url, bench.sizes.manifests);
    }
    const full = await inTurn(bench, [{ name: 'berth' as const }], async () => {
      await using peer = await startBerth(directory.path, bench.signal);
      return peer.readyAfter;
    });

    const line = { unit: 'ms', better: 'lower', target: { kind: 'limit', under: LIMIT_MS } } as const;
    const lines: Line[] = [
      { ...line, title: 'Start-up, empty', samples: samplesOf(empty, (ms) => ms) },
      {
        ...line,
        title: `Start-up with ${bench.sizes.manifests} manifests`,
        samples: samplesOf(full, (ms) => ms),
      },
    ];
    return lines;
  },
};
