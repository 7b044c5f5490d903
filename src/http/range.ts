import type { ByteRange } from '../storage/blob-store.ts';

const maxRanges = 256;
const maxHeader = 16_384;
const spec = /^(\d{0,15})-(\d{0,15})$/;

/**
 * Parses a `Range` header for `size` bytes (RFC 9110, 14.2). Returns the ranges in the order of the header; `undefined` when the
 * header is to be ignored (another unit, not a range, too many, more bytes in total than the blob, an empty blob);
 * `'unsatisfiable'` when no range overlaps the blob.
 *
 * Some clients send `bytes=0-` or `bytes=-<most>` with every request. The second is satisfiable on an empty blob (14.1.2), but no
 * Content-Range can express it. So an empty blob is sent whole, as Go and nginx do, which 14.2 allows for any Range.
 *
 * Clients that ask for several ranges (podman's zstd:chunked) expect one part for each. So if one of several ranges is
 * unsatisfiable, the whole body is the safe answer.
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
  // Overlapping ranges would send a blob hundreds of times for one request (RFC 9110, 14.2 and 17.15).
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
 * Parses the `Content-Range` of an upload's chunk: the spec's form `<first>-<last>`, or the HTTP form with unit and total, which
 * some clients send. `undefined` when it is neither, or ends before it starts.
 */
export function parseContentRange(header: string): { first: number; last: number } | undefined {
  const match = header.length <= 64 ? contentRange.exec(header.trim()) : null;
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2]);
  return last < first ? undefined : { first, last };
}
