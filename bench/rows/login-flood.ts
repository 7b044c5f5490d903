import { type Bench, inTurn, load, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Columns } from '../line.ts';
import { startBerth } from '../peers.ts';

const COLUMNS: Columns = ['under a flood', 'quiet'];
const LOGINS_PER_SECOND = 500;
/** The fraction of logins that must be answered for the flood to count. */
const ANSWERED = 0.9;

interface Pulled {
  readonly mibPerSecond: number;
}

/** One address tries passwords during a pull: hashing and file reads share Node's threads. */
export const loginFlood: Row = {
  name: 'login-flood',
  async measure(bench) {
    const { blobMib } = bench.sizes;
    await using berth = await startFresh(startBerth, bench.disk, bench.signal);
    const { blob } = await load<{ blob: string }>(bench, 'push-big', berth.url, blobMib);
    const url = berth.url + blob;
    const ways = [
      { name: 'under a flood', pull: () => pullUnderFlood(bench, url) },
      { name: 'quiet', pull: () => load<Pulled>(bench, 'pull-big', url, 1) },
    ] as const;
    const runs = await inTurn(bench, ways, ({ pull }) => pull());
    return [
      {
        columns: COLUMNS,
        title: `Pull of a ${blobMib} MiB blob, beside ${LOGINS_PER_SECOND} bad logins/s`,
        unit: 'MiB/s',
        better: 'higher',
        samples: samplesOf(runs, (pulled) => pulled.mibPerSecond),
        target: { kind: 'ratio', to: 'quiet', atLeast: 0.8 },
      },
    ];
  },
};

async function pullUnderFlood(bench: Bench, url: string): Promise<Pulled> {
  const pulled = await load<Pulled & { answersPerSecond: number }>(
    bench,
    'pull-under-logins',
    url,
    LOGINS_PER_SECOND,
  );
  if (pulled.answersPerSecond < ANSWERED * LOGINS_PER_SECOND)
    throw new Error(`only ${pulled.answersPerSecond} failed logins a second were answered`);
  return pulled;
}
