import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Segment } from './chain.ts';
import { minPartSize, type Part, planParts, segmentsToJoin } from './parts.ts';

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
  ['one segment of the minimum part size', [minPartSize]],
  ['two short segments', [1, minPartSize - 1]],
  ['small segments', Array.from({ length: 100 }, () => 100_000)],
  ['a small segment before a full one', [1, 16 * MiB]],
  ['a small segment before one of which little would be left', [1, minPartSize + 1]],
  ['small segments between full ones', [16 * MiB, 1, 16 * MiB, 2, 3, 5 * MiB, 4]],
  ['a small segment before a joined one', [1, 16 * GiB, 1]],
  ['a segment just above the copy limit', [2 * GiB + 1]],
  ['full segments and a short last one', [16 * MiB, 16 * MiB, 1]],
  ['5 TiB of joined segments', [1, ...Array.from({ length: 1279 }, () => 4 * GiB), 5]],
];

for (const [what, sizes] of chains) {
  test(`the parts of ${what} cover its bytes in order, within the size limits of S3`, () => {
    const segments = segmentsOf(...sizes);
    const parts = planParts(segments);
    assert.ok(parts.length <= 10_000, `${parts.length} parts`);
    // Each piece begins where the last one of its segment ended, and no segment is left out.
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
      // S3 copies ranges only of objects larger than 5 MB.
      assert.ok((start === 0 && end === segment.size - 1) || segment.size > 5 * MiB);
    }
  });
}

test('plans no parts for no segments', () => assert.deepEqual(planParts([]), []));

/** Appends segments of `size` bytes, and joins segments after each, until the chain has `total` bytes. */
function grow(size: number, total: number): { segments: Segment[]; copied: number } {
  const segments: Segment[] = [];
  let copied = 0;
  for (let bytes = 0; bytes < total; bytes += size) {
    segments.push({ name: `s${bytes}`, size, crc: 0 });
    const run = segmentsToJoin(segments);
    if (run === undefined) continue;
    const gathered = run.reduce((sum, segment) => sum + segment.size, 0);
    copied += gathered;
    segments.splice(segments.length - run.length, run.length, { name: `g${bytes}`, size: gathered, crc: 0 });
  }
  return { segments, copied };
}

for (const [what, size, total, maxSegments] of [
  ['1 KiB', 1024, 64 * MiB, 80],
  ['5 MiB', 5 * MiB, 64 * GiB, 100],
  ['16 MiB', 16 * MiB, 5 * 1024 * GiB, 500],
] as const) {
  test(`a chain of ${what} segments stays short, and joining them copies few bytes`, () => {
    const { segments, copied } = grow(size, total);
    assert.ok(segments.length <= maxSegments, `${segments.length} segments`);
    assert.ok(planParts(segments).length <= 10_000);
    if (size >= minPartSize) assert.ok(copied <= 2 * total, `${copied / total} times`);
  });
}
