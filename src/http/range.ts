import type { ByteRange } from '../storage/blob-store.ts';

const maxRanges = 256;
const maxHeader = 16_384;
const spec = /^(\d{0,15})-(\d{0,15})$/;

/**
 * What a `Range` header asks of `size` bytes (RFC 9110, 14.2): the ranges in the order asked; `undefined` when the header is to
 * be ignored (another unit, not a range, too many, more bytes in all than the whole, an empty blob); `'unsatisfiable'` when
 * nothing of it is there.
 *
 * Some clients send `bytes=0-` or `bytes=-<most>` with every request. On an empty blob the second is satisfiable (14.1.2) and no
 * Content-Range can express it; like Go and nginx this sends the whole, which 14.2 allows for any Range.
 *
 * Clients of multi-range (podman's zstd:chunked) count on one part for each range: when one of several is not there, the
 * whole body is the safe answer.
 */
export function parseRange(header: string, size: number): readonly ByteRange[] | 'unsatisfiable' | undefined {
  if (size === 0 || header.length > maxHeader || !/^bytes=/i.test(header)) return undefined;
  const parts = header.slice('bytes='.length).split(',', maxRanges + 1);
  if (parts.length > maxRanges) return undefined;
  const ranges: ByteRange[] = [];
  for (const part of parts) {
    const match = spec.exec(part.trim());
    if (match === null || (match[1] === '' && match[2] === '')) return undefined;
    const range = resolve(match[1] as string, match[2] as string, size);
    if (range !== undefined) ranges.push(range);
  }
  if (ranges.length === 0) return 'unsatisfiable';
  // Overlaps would have a blob sent hundreds of times for one request (RFC 9110, 14.2 and 17.15).
  const total = ranges.reduce((sum, { start, end }) => sum + end - start + 1, 0);
  return ranges.length === parts.length && total <= size ? ranges : undefined;
}

function resolve(first: string, last: string, size: number): ByteRange | undefined {
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start <= end ? { start, end } : undefined;
}

const contentRange = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/;

/**
 * The `Content-Range` of an upload's chunk. The spec's form is `<first>-<last>`; the HTTP form with unit and total, which
 * some clients send, means the same. `undefined` when it is neither, or ends before it starts.
 */
export function parseContentRange(header: string): { first: number; last: number } | undefined {
  const match = header.length <= 64 ? contentRange.exec(header.trim()) : null;
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2]);
  return last < first ? undefined : { first, last };
}
