import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Segment } from './chain.ts';
import { minPartSize, type Part, planParts, runToGather } from './parts.ts';

const MiB = 1 << 20;
const GiB = 2 ** 30;

function segmentsOf(...sizes: number[]): Segment[] {
  return sizes.map((size, index) => ({ name: `s${index}`, size, crc: 0 }));
}

function piecesOf(part: Part): { name: string; start: number; end: number }[] {
  const pieces = part.kind === 'copy' ? [part.piece] : part.pieces;
  return pieces.map(({ segment, start, end }) => ({ name: segment.name, start, end }));
}

const bytesOf = (part: Part): number =>
  piecesOf(part).reduce((sum, { start, end }) => sum + end - start + 1, 0);

const chains: [what: string, sizes: number[]][] = [
  ['one byte', [1]],
  ['one short segment', [minPartSize - 1]],
  ['one segment as short as a part may be', [minPartSize]],
  ['two short segments', [1, minPartSize - 1]],
  ['crumbs', Array.from({ length: 100 }, () => 100_000)],
  ['a crumb before a segment', [1, 16 * MiB]],
  ['a crumb before a segment of which little would be left', [1, minPartSize + 1]],
  ['crumbs between segments', [16 * MiB, 1, 16 * MiB, 2, 3, 5 * MiB, 4]],
  ['a crumb before a gathered segment', [1, 16 * GiB, 1]],
  ['a segment just above what is copied at once', [2 * GiB + 1]],
  ['segments and a short end', [16 * MiB, 16 * MiB, 1]],
  ['5 TiB, gathered', [1, ...Array.from({ length: 1279 }, () => 4 * GiB), 5]],
];

for (const [what, sizes] of chains) {
  test(`the parts of ${what} are its bytes in order, each of a size that the service takes`, () => {
    const segments = segmentsOf(...sizes);
    const parts = planParts(segments);
    assert.ok(parts.length <= 10_000, `${parts.length} parts`);
    // Byte after byte: each piece begins where the last one of its segment ended, and no segment is left out.
    const ends = new Map<string, number>();
    const order: string[] = [];
    for (const { name, start, end } of parts.flatMap(piecesOf)) {
      assert.equal(start, ends.get(name) ?? 0);
      ends.set(name, end + 1);
      if (order.at(-1) !== name) order.push(name);
    }
    assert.deepEqual(
      order,
      segments.map(({ name }) => name),
    );
    for (const { name, size } of segments) assert.equal(ends.get(name), size);
    for (const [index, part] of parts.entries()) {
      const bytes = bytesOf(part);
      assert.ok(index === parts.length - 1 || bytes >= minPartSize, `part ${index} has ${bytes} bytes`);
      assert.ok(bytes <= (part.kind === 'copy' ? 5 * GiB : 15 * MiB), `part ${index} has ${bytes} bytes`);
    }
    for (const part of parts) {
      if (part.kind === 'send') continue;
      const { segment, start, end } = part.piece;
      // The service copies a range only of what is larger than 5 MB.
      assert.ok((start === 0 && end === segment.size - 1) || segment.size > 5 * MiB);
    }
  });
}

test('no segments have no parts', () => assert.deepEqual(planParts([]), []));

/** What is left of a chain to which segments of `size` are appended until it has `total` bytes, gathered as they come. */
function grow(size: number, total: number): { segments: Segment[]; copied: number } {
  const segments: Segment[] = [];
  let copied = 0;
  for (let bytes = 0; bytes < total; bytes += size) {
    segments.push({ name: `s${bytes}`, size, crc: 0 });
    const run = runToGather(segments);
    if (run === undefined) continue;
    const gathered = run.reduce((sum, segment) => sum + segment.size, 0);
    copied += gathered;
    segments.splice(segments.length - run.length, run.length, { name: `g${bytes}`, size: gathered, crc: 0 });
  }
  return { segments, copied };
}

for (const [what, size, total, maxSegments] of [
  ['crumbs of 1 KiB', 1024, 64 * MiB, 80],
  ['5 MiB', 5 * MiB, 64 * GiB, 100],
  ['16 MiB', 16 * MiB, 5 * 1024 * GiB, 500],
] as const) {
  test(`a chain of ${what} stays short however long it gets, and few bytes are copied for that`, () => {
    const { segments, copied } = grow(size, total);
    assert.ok(segments.length <= maxSegments, `${segments.length} segments`);
    assert.ok(planParts(segments).length <= 10_000);
    if (size >= minPartSize) assert.ok(copied <= 2 * total, `${copied / total} times`);
  });
}
