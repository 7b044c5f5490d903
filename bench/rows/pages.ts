import { join } from 'node:path';
import { openPostgres } from '../../src/db/postgres.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { asAdministrator } from '../../test/support/postgres-server.ts';
import { type Bench, inTurn, load, type Row, type Runs, type Seeded, samplesOf } from '../bench.ts';
import { temporaryDirectory } from '../directory.ts';
import { startFresh } from '../launch.ts';
import type { Columns, Line, Target } from '../line.ts';
import { berthWith, startBerth } from '../peers.ts';
import { seed } from '../seed.ts';
import { databaseSettings, type Postgres, startPostgres } from '../services.ts';

const COLUMNS: Columns = ['PostgreSQL', 'SQLite'];

interface PageFigures {
  readonly firstPageMs: number;
  readonly middlePageMs: number;
  readonly latePageMs: number;
}

type Page = keyof PageFigures;

const PAGES: readonly (readonly [title: string, page: Page])[] = [
  ['First page (100)', 'firstPageMs'],
  ['Middle page (100)', 'middlePageMs'],
  ['Late page (50 left)', 'latePageMs'],
];

interface Lists {
  readonly tags: Runs<PageFigures>;
  readonly catalog: Runs<PageFigures>;
}

/** A page costs what it holds, in whichever database, however many tags and repositories there are. */
export const pages: Row = {
  name: 'pages',
  async measure(bench) {
    const { seeded, seededFew } = bench.sizes;
    await using postgres = await startPostgres();
    const few = await measureSeeded(bench, postgres, seededFew);
    const many = await measureSeeded(bench, postgres, seeded);
    return [
      ...pageLines(`of ${seededFew.tags} tags, seeded`, few.tags),
      ...pageLines(`of ${seeded.tags} tags, seeded`, many.tags, {
        as: `of ${seededFew.tags}`,
        runs: few.tags,
      }),
      ...pageLines(`of a catalog of ${seededFew.repositories}, seeded`, few.catalog),
      ...pageLines(`of a catalog of ${seeded.repositories}, seeded`, many.catalog, {
        as: `of ${seededFew.repositories}`,
        runs: few.catalog,
      }),
    ];
  },
};

async function measureSeeded(bench: Bench, postgres: Postgres, seeded: Seeded): Promise<Lists> {
  const { disk, signal } = bench;
  const url = await postgres.createDatabase();
  await seedPostgres(url, seeded);
  await using directory = await temporaryDirectory(disk);
  await seedSqlite(directory.path, seeded);

  await using onPostgres = await startFresh(berthWith({ env: databaseSettings(url) }), disk, signal);
  await using onSqlite = await startBerth(directory.path, signal);
  const berths = [
    { name: 'PostgreSQL', url: onPostgres.url },
    { name: 'SQLite', url: onSqlite.url },
  ] as const;
  const timePages = (list: string, prefix: string, count: number) =>
    inTurn(bench, berths, ({ url }) => load<PageFigures>(bench, 'pages', url, list, prefix, count));
  return {
    tags: await timePages('/v2/bench/r0000000/tags/list', 't', seeded.tags),
    catalog: await timePages('/v2/_catalog', 'bench/r', seeded.repositories),
  };
}

async function seedPostgres(url: string, seeded: Seeded): Promise<void> {
  const database = await openPostgres({ url, poolSize: 2 });
  try {
    await seed(database, seeded);
  } finally {
    await database.close();
  }
  // What autovacuum does a minute later by itself, and would otherwise do in the middle of the measurement.
  await asAdministrator(url, (admin) => admin.query('vacuum analyze'));
}

async function seedSqlite(directory: string, seeded: Seeded): Promise<void> {
  const database = await openSqlite(join(directory, 'data', 'berth.db'));
  try {
    await seed(database, seeded);
  } finally {
    await database.close();
  }
}

function pageLines(
  of: string,
  runs: Runs<PageFigures>,
  same?: { readonly as: string; readonly runs: Runs<PageFigures> },
): Line[] {
  return PAGES.map(([title, page]) => {
    const samples = samplesOf(runs, (figures) => figures[page]);
    const target: Target | undefined = same && {
      kind: 'same',
      as: same.as,
      samples: same.runs.PostgreSQL!.map((figures) => figures[page]),
    };
    return {
      columns: COLUMNS,
      title: `${title} ${of}`,
      unit: 'ms',
      better: 'lower',
      samples,
      ...(target && { target }),
    };
  });
}
