import { inTurn, load, type Row, type Runs, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import { type Peer, startBerth, startDockerRegistry } from '../peers.ts';

interface CatalogFigures {
  readonly firstPageMs: number;
  readonly latePageMs: number;
}

/** Seeded once for each registry: ten thousand repositories take docker-registry half a minute. */
export const catalog: Row = {
  name: 'catalog',
  async measure(bench) {
    const { repositories } = bench.sizes;
    await using berth = await startFresh(startBerth, bench.disk, bench.signal);
    await using dockerRegistry = await startFresh(startDockerRegistry, bench.disk, bench.signal);
    const prefixes = new Map<Peer, string>();
    for (const peer of [berth, dockerRegistry]) {
      const { prefix } = await load<{ prefix: string }>(bench, 'seed-catalog', peer.url, repositories);
      prefixes.set(peer, prefix);
    }
    const runs: Runs<CatalogFigures> = await inTurn(bench, [berth, dockerRegistry], (peer) =>
      load<CatalogFigures>(
        bench,
        'pages',
        peer.url,
        '/v2/_catalog',
        `${prefixes.get(peer)!}/r`,
        repositories,
      ),
    );
    const of = `of a catalog of ${repositories} repositories`;
    return [
      {
        title: `First page (100) ${of}`,
        unit: 'ms',
        better: 'lower',
        samples: samplesOf(runs, (figures) => figures.firstPageMs),
      },
      {
        title: `Late page (50 left) ${of}`,
        unit: 'ms',
        better: 'lower',
        samples: samplesOf(runs, (figures) => figures.latePageMs),
      },
    ];
  },
};
