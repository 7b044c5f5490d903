import { inTurn, load, type Row, type Runs, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Columns, Line } from '../line.ts';
import { RegistryClient } from '../load/client.ts';
import { MANIFEST_TYPE, pushImage } from '../load/push.ts';
import { berthWith, startBerth } from '../peers.ts';
import { databaseSettings, startPostgres } from '../services.ts';
import { type WrkFigures, wrk } from '../wrk.ts';

const COLUMNS: Columns = ['PostgreSQL', 'SQLite'];

interface Measured {
  readonly name: 'PostgreSQL' | 'SQLite';
  readonly url: string;
  /** The digest of the manifest tagged {@link TAG}. */
  readonly digest: string;
}
const NAME = 'bench/image';
const TAG = 'latest';
const WARM_UP_SECONDS = 1;

/** The cost of a database server compared with a local file; files hold the blobs of both. */
export const postgres: Row = {
  name: 'postgres',
  async measure(bench) {
    const { disk, signal, sizes } = bench;
    await using server = await startPostgres();
    const env = databaseSettings(await server.createDatabase());
    await using onPostgres = await startFresh(berthWith({ env }), disk, signal);
    await using onSqlite = await startFresh(startBerth, disk, signal);
    const berths: Measured[] = [];
    for (const [name, { url }] of [
      ['PostgreSQL', onPostgres],
      ['SQLite', onSqlite],
    ] as const) {
      using client = new RegistryClient(url);
      const { digest } = await pushImage(client, NAME, TAG);
      berths.push({ name, url, digest });
    }

    const lines: Line[] = [];
    for (const by of ['tag', 'digest'] as const) {
      for (const connections of [1, 16]) {
        const get = (berth: Measured, seconds: number) => {
          const urls = [`${berth.url}/v2/${NAME}/manifests/${by === 'tag' ? TAG : berth.digest}`];
          return wrk({ urls, connections, seconds, accept: MANIFEST_TYPE, signal });
        };
        for (const berth of berths) await get(berth, WARM_UP_SECONDS);
        const runs = await inTurn(bench, berths, (berth) => get(berth, sizes.briefSeconds));
        const many = connections === 1 ? '1 connection' : `${connections} connections`;
        lines.push(...latencyLines(`GET manifest by ${by}, ${many}`, runs));
      }
    }

    const puts = await inTurn(bench, berths, ({ url }) =>
      load<{ tagsPerSecond: number }>(bench, 'tags', url, sizes.fewTags),
    );
    lines.push({
      columns: COLUMNS,
      title: 'PUT tag of one manifest, 16 at a time',
      unit: 'tags/s',
      better: 'higher',
      samples: samplesOf(puts, (figures) => figures.tagsPerSecond),
    });
    return lines;
  },
};

function latencyLines(title: string, runs: Runs<WrkFigures>): Line[] {
  const line = { columns: COLUMNS, unit: 'ms', better: 'lower' } as const;
  return [
    { ...line, title: `${title}, p50`, samples: samplesOf(runs, (figures) => figures.p50Ms) },
    { ...line, title: `${title}, p99`, samples: samplesOf(runs, (figures) => figures.p99Ms) },
  ];
}
