import type { Segment } from './chain.ts';

/** Bytes `start` to `end`, both included, of a segment's object. */
export interface Piece {
  readonly segment: Segment;
  readonly start: number;
  readonly end: number;
}

/** A part of a multipart upload: one piece copied by the service, or several that Berth reads back and sends. */
export type Part =
  | { readonly kind: 'copy'; readonly piece: Piece }
  | { readonly kind: 'send'; readonly pieces: readonly Piece[] };

/** Minimum bytes of every part but the last (S3 limit). */
export const minPartSize = 5 << 20;
/** Maximum bytes of a copied part. S3 allows 5 GiB; smaller ones can be copied concurrently. */
const maxCopySize = 2 * 2 ** 30;

/**
 * Parts that join the segments into one object. Segments shorter than a part are sent together, with the first bytes of the next
 * segment if needed. No sent part exceeds 15 MiB.
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

/** Parts of equal size, so that the last one is not shorter than {@link minPartSize}. */
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

const segmentsPerJoin = 32;
/** Upper limits, in bytes, of segments of similar size: too short for a part, one received segment, 32 of those joined. */
const tiers = [minPartSize, 128 << 20, 4 * 2 ** 30];

/**
 * Segments at the end of the chain to join into one, if any: 32 of similar size, with smaller ones between them. So each byte of
 * full segments is copied at most twice, and the chain's text for 5 TiB has only some tens of KiB.
 */
export function segmentsToJoin(segments: readonly Segment[]): Segment[] | undefined {
  let smaller = 0;
  for (const limit of tiers) {
    const run = segments.slice(segments.findLastIndex(({ size }) => size >= limit) + 1);
    if (run.filter(({ size }) => size >= smaller).length >= segmentsPerJoin) return run;
    smaller = limit;
  }
  return undefined;
}
