import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { advanceEpoch } from '../../src/core/store-identity.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { collectGarbage } from '../../src/jobs/collect-garbage.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { blobKey } from '../../src/storage/blob-store.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { inTurn, load, type Row, samplesOf } from '../bench.ts';
import { temporaryDirectory } from '../directory.ts';
import { RegistryClient } from '../load/client.ts';
import { berthWith, type Peer } from '../peers.ts';
import { seedBlobs, seededDigest } from '../seed.ts';

const COLUMNS = ['collecting', 'quiet'] as const;
const HOUR = 3_600_000;
/** Nearly all blobs are garbage here. */
const startBerth = berthWith({ env: { BERTH_GC_MAX_PERCENT: '100' } });

interface Latencies {
  readonly pushP99Ms: number;
  readonly pullP99Ms: number;
}

/** Garbage collection beside pushes and pulls, over SQLite and files. */
export const garbage: Row = {
  name: 'garbage',
  async measure(bench) {
    const { garbageBlobs, storedBlobs, requestSeconds } = bench.sizes;
    const latencies = (peer: Peer) => load<Latencies>(bench, 'latencies', peer.url, requestSeconds);
    const rates: number[] = [];

    const beside = async (due: number): Promise<Latencies> => {
      await using directory = await temporaryDirectory(bench.disk);
      await makeGarbage(join(directory.path, 'data'), due);
      await using berth = await startBerth(directory.path, bench.signal);
      if (due === 0) return await latencies(berth);
      // A collection that has never run begins within seconds of the start.
      await until(berth, bench.signal, ({ running }) => running);
      const measured = await latencies(berth);
      if (!(await jobOf(berth)).running) throw new Error('the collection ended before the load');
      const { seconds } = await until(berth, bench.signal, ({ running }) => !running);
      rates.push(due / seconds);
      return measured;
    };
    const runs = await inTurn(
      bench,
      [
        { name: COLUMNS[0], due: garbageBlobs },
        { name: COLUMNS[1], due: 0 },
      ],
      ({ due }) => beside(due),
    );
    const idle = await inTurn(bench, [{ name: 'berth' as const }], async () => {
      await using directory = await temporaryDirectory(bench.disk);
      return await idleCpuMs(directory.path, storedBlobs);
    });

    const line = { columns: COLUMNS, unit: 'ms', better: 'lower' } as const;
    const target = { kind: 'ratio', to: 'quiet', atLeast: 0.77 } as const;
    const of = `while ${garbageBlobs} blobs are collected, 4 at a time, p99`;
    return [
      {
        ...line,
        title: `Push of a small image ${of}`,
        samples: samplesOf(runs, (figures) => figures.pushP99Ms),
        target,
      },
      {
        ...line,
        title: `Pull of a small image ${of}`,
        samples: samplesOf(runs, (figures) => figures.pullP99Ms),
        target,
      },
      {
        title: `Collection of ${garbageBlobs} blobs beside this load`,
        unit: 'blobs/s',
        better: 'higher',
        samples: { berth: rates },
      },
      {
        title: `CPU of a collection with nothing to do, ${storedBlobs} blobs stored`,
        unit: 'ms',
        better: 'lower',
        samples: samplesOf(idle, (ms) => ms),
        target: { kind: 'limit', under: 50 },
      },
    ];
  },
};

/** Makes a data directory with this many blobs that no manifest has needed for days. */
async function makeGarbage(data: string, count: number): Promise<void> {
  await mkdir(data, { recursive: true });
  const database = await openSqlite(join(data, 'berth.db'));
  try {
    await seedBlobs(database, count, { reviewAt: 1 });
  } finally {
    await database.close();
  }
  for (let i = 0; i < count; i += 1) {
    const path = join(data, blobKey(seededDigest(i) as Digest, 0));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'x');
  }
}

interface JobState {
  readonly running: boolean;
  /** Duration of the runs that have ended. */
  readonly seconds: number;
}

async function jobOf(peer: Peer): Promise<JobState> {
  using client = new RegistryClient(peer.url);
  const { body } = await client.request('GET', '/metrics', { expect: 200 });
  const metric = (name: string) =>
    Number(new RegExp(`^${name}\\{name="gc"\\} (\\S+)$`, 'm').exec(body.toString())?.[1] ?? 0);
  return { running: metric('berth_job_running') === 1, seconds: metric('berth_job_duration_seconds_sum') };
}

async function until(
  peer: Peer,
  signal: AbortSignal,
  isReached: (state: JobState) => boolean,
): Promise<JobState> {
  for (;;) {
    const state = await jobOf(peer);
    if (isReached(state)) return state;
    await delay(50, undefined, { signal });
  }
}

/** CPU of the second collection; the first one prepares the statements. */
async function idleCpuMs(directory: string, stored: number): Promise<number> {
  const database = await openSqlite(join(directory, 'berth.db'));
  await using closing = new AsyncDisposableStack();
  closing.defer(() => database.close());
  const store = await openFilesystemStore(directory);
  const identify = () => advanceEpoch(database, store, { database: directory, store: directory });
  // A database that records blobs does not accept an empty store.
  await identify();
  await seedBlobs(database, stored, { reviewAt: null });
  const parts = {
    database,
    store,
    clock: Date.now,
    expireAfter: HOUR,
    grace: HOUR,
    keepUnknown: HOUR,
    limits: { blobsPerSecond: 0, bytesPerSecond: 0, maxPercent: 100 },
    advanceEpoch: identify,
  };
  await collectGarbage(parts);
  const before = process.cpuUsage();
  await collectGarbage(parts);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
