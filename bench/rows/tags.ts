import { type Bench, inTurn, load, type Row, type Runs, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Line, Samples } from '../line.ts';
import { startBerth, startDockerRegistry } from '../peers.ts';

const TAGS_PER_REQUEST = 10;

interface TagFigures {
  readonly tagsPerSecond: number;
  readonly firstPageMs: number;
  readonly latePageMs: number;
  readonly allMs: number;
}

/** The cost of a page depends on its size, and not on the number of tags. */
export const tags: Row = {
  name: 'tags',
  async measure(bench) {
    const { fewTags, manyTags } = bench.sizes;
    await using berth = await startFresh(startBerth, bench.disk, bench.signal);
    await using dockerRegistry = await startFresh(startDockerRegistry, bench.disk, bench.signal);
    const few = await inTurn(bench, [berth, dockerRegistry], (peer) =>
      load<TagFigures>(bench, 'tags', peer.url, fewTags),
    );
    // Only Berth accepts several tags in one request. With one tag a request, making the tags would take minutes.
    const many = await inTurn(bench, [berth], (peer) =>
      load<TagFigures>(bench, 'tags', peer.url, manyTags, TAGS_PER_REQUEST),
    );

    const put: Line = {
      title: `PUT tag, 16 at a time, up to ${fewTags} tags`,
      unit: 'tags/s',
      better: 'higher',
      samples: samplesOf(few, (figures) => figures.tagsPerSecond),
    };
    return [put, ...fewTagLines(bench, few), ...manyTagLines(bench, few, many)];
  },
};

function fewTagLines(bench: Bench, few: Runs<TagFigures>): Line[] {
  const of = `of ${bench.sizes.fewTags} tags`;
  return [
    listLine(
      `First page (100) ${of}`,
      samplesOf(few, (figures) => figures.firstPageMs),
    ),
    listLine(
      `Late page (50 left) ${of}`,
      samplesOf(few, (figures) => figures.latePageMs),
    ),
    listLine(
      `All ${of}`,
      samplesOf(few, (figures) => figures.allMs),
    ),
  ];
}

function manyTagLines(bench: Bench, few: Runs<TagFigures>, many: Runs<TagFigures>): Line[] {
  const of = `of ${bench.sizes.manyTags} tags`;
  const as = `of ${bench.sizes.fewTags}`;
  const first = few.berth!.map((figures) => figures.firstPageMs);
  const late = few.berth!.map((figures) => figures.latePageMs);
  return [
    {
      ...listLine(
        `First page (100) ${of}`,
        samplesOf(many, (figures) => figures.firstPageMs),
      ),
      target: { kind: 'same', as, samples: first },
    },
    {
      ...listLine(
        `Late page (50 left) ${of}`,
        samplesOf(many, (figures) => figures.latePageMs),
      ),
      target: { kind: 'same', as, samples: late },
    },
    listLine(
      `All ${of}`,
      samplesOf(many, (figures) => figures.allMs),
    ),
  ];
}

function listLine(title: string, samples: Samples): Line {
  return { title, unit: 'ms', better: 'lower', samples };
}
