import { join } from 'node:path';
import type { Database } from '../../src/db/database.ts';
import { openPostgres } from '../../src/db/postgres/postgres.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { asAdministrator } from '../../test/support/postgres-server.ts';
import { type Bench, inTurn, load, type Row, type Runs, type Seeded, samplesOf } from '../bench.ts';
import { temporaryDirectory } from '../directory.ts';
import { startFresh } from '../launch.ts';
import type { Columns, Line } from '../line.ts';
import { berthWith, startBerth } from '../peers.ts';
import { seed } from '../seed.ts';
import { databaseSettings, type Postgres, startPostgres } from '../services.ts';

const COLUMNS: Columns = ['PostgreSQL', 'SQLite'];

interface PageFigures {
  readonly firstPageMs: number;
  readonly middlePageMs: number;
  readonly latePageMs: number;
}

const PAGES: readonly (readonly [title: string, page: keyof PageFigures])[] = [
  ['First page (100)', 'firstPageMs'],
  ['Middle page (100)', 'middlePageMs'],
  ['Late page (50 left)', 'latePageMs'],
];

/** The same pages of a short list and of a long one, on the same kind of database. */
interface Pages {
  readonly few: PageFigures;
  readonly many: PageFigures;
}

/** Two registries on one kind of database. */
interface Berths {
  readonly name: 'PostgreSQL' | 'SQLite';
  readonly few: string;
  readonly many: string;
}

/** With both databases, the cost of a page depends on its size, and not on the number of tags and repositories. */
export const pages: Row = {
  name: 'pages',
  async measure(bench) {
    const { seededFew: few, seeded: many } = bench.sizes;
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await startPostgres());
    const start = async (name: Berths['name']): Promise<Berths> => {
      const startOne = name === 'PostgreSQL' ? startOnPostgres(server) : startOnSqlite;
      const urls: string[] = [];
      for (const seeded of [few, many]) urls.push(await startOne(bench, seeded, stack));
      return { name, few: urls[0]!, many: urls[1]! };
    };
    const berths = [await start('PostgreSQL'), await start('SQLite')];
    // Times the short and the long list right after each other: a machine that is slow for only one of them would hide the small
    // difference.
    const timePages = (list: string, prefix: string, counts: { few: number; many: number }) =>
      inTurn<Berths, Pages>(bench, berths, async (urls) => ({
        few: await load<PageFigures>(bench, 'pages', urls.few, list, prefix, counts.few),
        many: await load<PageFigures>(bench, 'pages', urls.many, list, prefix, counts.many),
      }));
    const counts = (what: keyof Seeded) => ({ few: few[what], many: many[what] });
    const tags = await timePages('/v2/bench/r0000000/tags/list', 't', counts('tags'));
    const catalog = await timePages('/v2/_catalog', 'bench/r', counts('repositories'));
    return [
      ...pageLines(`of ${few.tags} tags, seeded`, tags),
      ...pageLines(`of ${many.tags} tags, seeded`, tags, `of ${few.tags}`),
      ...pageLines(`of a catalog of ${few.repositories}, seeded`, catalog),
      ...pageLines(`of a catalog of ${many.repositories}, seeded`, catalog, `of ${few.repositories}`),
    ];
  },
};

type Start = (bench: Bench, seeded: Seeded, stack: AsyncDisposableStack) => Promise<string>;

function startOnPostgres(server: Postgres): Start {
  return async ({ disk, signal }, seeded, stack) => {
    const url = await server.createDatabase();
    await seedAndClose(await openPostgres({ url, poolSize: 2 }), seeded);
    // Autovacuum would otherwise do this a minute later, during the measurement.
    await asAdministrator(url, (admin) => admin.query('vacuum analyze'));
    const start = berthWith({ env: databaseSettings(url) });
    return stack.use(await startFresh(start, disk, signal)).url;
  };
}

const startOnSqlite: Start = async ({ disk, signal }, seeded, stack) => {
  const directory = stack.use(await temporaryDirectory(disk));
  await seedAndClose(await openSqlite(join(directory.path, 'data', 'berth.db')), seeded);
  return stack.use(await startBerth(directory.path, signal)).url;
};

async function seedAndClose(database: Database, seeded: Seeded): Promise<void> {
  try {
    await seed(database, seeded);
  } finally {
    await database.close();
  }
}

/** If `as` is given, the lines of the long lists, with the short lists as target; otherwise the lines of the short lists. */
function pageLines(of: string, runs: Runs<Pages>, as?: string): Line[] {
  return PAGES.map(([title, page]) => {
    const few = samplesOf(runs, (pages) => pages.few[page]);
    const line = { columns: COLUMNS, title: `${title} ${of}`, unit: 'ms', better: 'lower' } as const;
    if (as === undefined) return { ...line, samples: few };
    const samples = samplesOf(runs, (pages) => pages.many[page]);
    return { ...line, samples, target: { kind: 'same', as, samples: few.PostgreSQL! } };
  });
}
