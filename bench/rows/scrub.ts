import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Bench, inTurn, load, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import { startBerth } from '../peers.ts';
import { cpuSeconds } from '../process.ts';

const BERTH = join(import.meta.dirname, '../../bin/berth.js');
/** The default of `scrub.bytesPerSecond`. */
const RATE = '10MiB';
const COLUMNS = ['scrubbing', 'quiet'] as const;

/** Pulls of one blob while a scrub reads it at its default rate, and without one. */
export const scrub: Row = {
  name: 'scrub',
  async measure(bench) {
    const { blobMib } = bench.sizes;
    await using berth = await startFresh(startBerth, bench.disk, bench.signal);
    const { blob } = await load<{ blob: string }>(bench, 'push-big', berth.url, blobMib);
    const pull = () => load<{ mibPerSecond: number }>(bench, 'pull-big', berth.url + blob, 1);
    const cpu: number[] = [];
    const runs = await inTurn(
      bench,
      COLUMNS.map((name) => ({ name })),
      async ({ name }) => {
        if (name === 'quiet') return await pull();
        await using scrubbing = startScrub(bench, join(berth.directory, 'data'));
        const [begin, used] = [performance.now(), await cpuSeconds(scrubbing.pid)];
        const pulled = await pull();
        cpu.push(((await cpuSeconds(scrubbing.pid)) - used) / ((performance.now() - begin) / 1_000));
        return pulled;
      },
    );
    return [
      {
        columns: COLUMNS,
        title: `Pull of a ${blobMib} MiB blob, 1 stream, while ${RATE}/s are scrubbed`,
        unit: 'MiB/s',
        better: 'higher',
        samples: samplesOf(runs, (pulled) => pulled.mibPerSecond),
        target: { kind: 'ratio', to: 'quiet', atLeast: 0.9 },
      },
      {
        title: `CPU of a scrub of ${RATE}/s`,
        unit: 's/s',
        better: 'lower',
        samples: { berth: cpu },
      },
    ];
  },
};

function startScrub({ signal }: Bench, data: string): AsyncDisposable & { readonly pid: number } {
  const child = spawn(
    process.execPath,
    [BERTH, 'scrub', 'run', '--restart', '--rate', RATE, '--data', data],
    {
      stdio: 'ignore',
      signal,
    },
  );
  return {
    pid: child.pid as number,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) throw new Error('the scrub ended before the pull');
      child.kill('SIGINT');
      await once(child, 'exit');
    },
  };
}
