import type { Segment } from './chain.ts';

/** Bytes `start` to `end`, both included, of a segment's object. */
export interface Piece {
  readonly segment: Segment;
  readonly start: number;
  readonly end: number;
}

/** How a part of an object is made: by the service, from a piece of one segment, or of several that are read back and sent. */
export type Part =
  | { readonly kind: 'copy'; readonly piece: Piece }
  | { readonly kind: 'send'; readonly pieces: readonly Piece[] };

/** Bytes that every part but the last must have. */
export const minPartSize = 5 << 20;
/** Bytes. The service takes 5 GiB; smaller ones are copied at once. */
const maxCopySize = 2 * 2 ** 30;

/**
 * Parts that make one object of the segments. What is shorter than a part may be is gathered, with the first bytes of what
 * follows it if need be, so that no part is sent that has more than 15 MiB.
 */
export function planParts(segments: readonly Segment[]): Part[] {
  const parts: Part[] = [];
  let short: Piece[] = [];
  let shortBytes = 0;
  for (const segment of segments) {
    const end = segment.size - 1;
    let start = 0;
    if (shortBytes > 0 || segment.size < minPartSize) {
      const missing = minPartSize - shortBytes;
      const taken = segment.size - missing < minPartSize ? segment.size : missing;
      short.push({ segment, start: 0, end: taken - 1 });
      shortBytes += taken;
      start = taken;
    }
    if (shortBytes >= minPartSize) {
      parts.push({ kind: 'send', pieces: short });
      short = [];
      shortBytes = 0;
    }
    if (start <= end) parts.push(...copies({ segment, start, end }));
  }
  const [only] = short;
  if (only && short.length === 1) parts.push({ kind: 'copy', piece: only });
  else if (only) parts.push({ kind: 'send', pieces: short });
  return parts;
}

/** Of even size, so that the last is no shorter than a part may be. */
function copies({ segment, start, end }: Piece): Part[] {
  const bytes = end - start + 1;
  const count = Math.ceil(bytes / maxCopySize);
  return Array.from({ length: count }, (_, i) => ({
    kind: 'copy',
    piece: {
      segment,
      start: start + Math.floor((bytes * i) / count),
      end: start + Math.floor((bytes * (i + 1)) / count) - 1,
    },
  }));
}

const runLength = 32;
/** Bytes below which segments are of like size: too short for a part, what a segment holds, what 32 of these do. */
const tiers = [minPartSize, 128 << 20, 4 * 2 ** 30];

/**
 * The segments at the chain's end that are worth one object, if there are any: 32 of like size, with what is smaller between them.
 * So each byte of segments is copied twice at most, and the text of 5 TiB stays within some tens of KiB.
 */
export function runToGather(segments: readonly Segment[]): Segment[] | undefined {
  let smaller = 0;
  for (const limit of tiers) {
    const run = segments.slice(segments.findLastIndex(({ size }) => size >= limit) + 1);
    if (run.filter(({ size }) => size >= smaller).length >= runLength) return run;
    smaller = limit;
  }
  return undefined;
}
