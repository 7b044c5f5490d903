import { type Bench, inTurn, load, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Line } from '../line.ts';
import { startBerth, startDockerRegistry } from '../peers.ts';

const CONCURRENCY = 8;
const WARM_UP_IMAGES = 50;

/** The load of a build farm: many small images at once, each with three blobs and a manifest. */
export const pushSmall: Row = {
  name: 'push-small',
  async measure(bench) {
    return [await pushInto(bench, 'disk'), await pushInto(bench, 'tmpfs')];
  },
};

async function pushInto(bench: Bench, place: 'disk' | 'tmpfs'): Promise<Line> {
  await using berth = await startFresh(startBerth, bench[place], bench.signal);
  await using dockerRegistry = await startFresh(startDockerRegistry, bench[place], bench.signal);
  const push = (url: string, images: number) =>
    load<{ imagesPerSecond: number }>(bench, 'push-small', url, images, CONCURRENCY);

  for (const peer of [berth, dockerRegistry]) await push(peer.url, WARM_UP_IMAGES);
  const runs = await inTurn(bench, [berth, dockerRegistry], (peer) => push(peer.url, bench.sizes.images));
  return {
    title: `Push of ${bench.sizes.images} small images, ${CONCURRENCY} at a time, ${place}`,
    unit: 'images/s',
    better: 'higher',
    samples: samplesOf(runs, (pushed) => pushed.imagesPerSecond),
    target: { kind: 'ratio', to: 'docker-registry', atLeast: 2.3 },
  };
}
