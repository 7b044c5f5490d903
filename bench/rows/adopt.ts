import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inTurn, load, type Row, samplesOf } from '../bench.ts';
import { temporaryDirectory } from '../directory.ts';
import { startDockerRegistry } from '../peers.ts';
import { run } from '../process.ts';

const BERTH = join(import.meta.dirname, '../../bin/berth.js');
const CONCURRENCY = 8;
/** Config, two layers and manifest, which CNCF distribution stores as a blob too. */
const BLOBS_OF_IMAGE = 4;
const LIMIT_SECONDS = 600;

/** The adoption of a tree that docker-registry has written, as a process of its own, with its start. */
export const adopt: Row = {
  name: 'adopt',
  async measure(bench) {
    const { adoptedImages } = bench.sizes;
    await using directory = await temporaryDirectory(bench.disk);
    {
      await using dockerRegistry = await startDockerRegistry(directory.path, bench.signal);
      // Unique repositories for each call of the load generator.
      await load(bench, 'push-small', dockerRegistry.url, adoptedImages, CONCURRENCY);
    }
    const data = join(directory.path, 'data');
    const runs = await inTurn(bench, [{ name: 'berth' as const }], async () => {
      for (const file of ['berth.db', 'berth.db-shm', 'berth.db-wal', 'berth-store.json']) {
        await rm(join(data, file), { force: true });
      }
      const begin = performance.now();
      await run(process.execPath, [BERTH, 'adopt', '--data', data], {
        signal: bench.signal,
        seconds: LIMIT_SECONDS,
      });
      return (adoptedImages * BLOBS_OF_IMAGE) / ((performance.now() - begin) / 1_000);
    });
    return [
      {
        title: `Adoption of ${adoptedImages} small images of docker-registry, disk`,
        unit: 'blobs/s',
        better: 'higher',
        samples: samplesOf(runs, (rate) => rate),
      },
    ];
  },
};
