import { randomBytes } from 'node:crypto';
import type { Permit } from '../access/permit.ts';
import type { Blob, Blobs } from '../core/blobs.ts';
import type { Actor } from '../db/changes.ts';
import { parseRange } from '../http/range.ts';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { ByteRange } from '../storage/blob-store.ts';
import { isNotModified } from './conditions.ts';
import type { BlobPart, Exchange } from './exchange.ts';
import type { Redirects } from './redirects.ts';

const octets = 'application/octet-stream';

function headersOf(digest: Digest): Record<string, string> {
  return {
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Accept-Ranges': 'bytes',
    // The bytes of a digest never change, but rights can: so private caches only.
    'Cache-Control': 'private, max-age=31536000, immutable',
    // Blobs are untrusted: a browser must download them and never show them as pages of this origin.
    'X-Content-Type-Options': 'nosniff',
    'Content-Disposition': 'attachment',
    'Content-Security-Policy': 'sandbox',
  };
}

/** end-2 */
export async function getBlob(
  blobs: Blobs,
  redirects: Redirects | undefined,
  exchange: Exchange,
  { name, digest }: { name: RepositoryName; digest: Digest },
  { repository }: Permit,
): Promise<void> {
  const blob = await blobs.find(name, digest, repository);
  const headers = headersOf(digest);
  if (isNotModified(exchange, digest)) return exchange.reply(304, headers);
  // RFC 9110, 14.2: ranges apply to GET only.
  if (exchange.isHead) {
    return exchange.reply(200, { ...headers, 'Content-Type': octets, 'Content-Length': blob.size });
  }
  const ranges = wantedRanges(exchange, digest, blob.size);
  if (ranges === 'unsatisfiable') {
    return exchange.reply(416, { ...headers, 'Content-Range': `bytes */${blob.size}` });
  }
  // Stores serve one range of a presigned URL, not several, and no range of an empty object.
  if (blob.size > 0 && (ranges?.length ?? 1) === 1 && redirects?.(exchange)) {
    const url = await blobs.redirectUrl(blob);
    if (url !== undefined) return redirect(exchange, digest, url);
  }
  return sendRanges(blobs, exchange, blob, headers, ranges);
}

/** Clients repeat the request there, with its Range and without its credentials (2.3). `no-store`, as the URL expires soon. */
function redirect(exchange: Exchange, digest: Digest, url: string): void {
  exchange.reply(307, { Location: url, 'Docker-Content-Digest': digest, 'Cache-Control': 'no-store' });
}

/** end-10 */
export async function deleteBlob(
  blobs: Blobs,
  exchange: Exchange,
  { name, digest }: { name: RepositoryName; digest: Digest },
  by: Actor,
): Promise<void> {
  await blobs.delete(name, digest, by);
  exchange.reply(202, { 'Docker-Content-Digest': digest });
}

function wantedRanges(
  exchange: Exchange,
  digest: Digest,
  size: number,
): readonly ByteRange[] | 'unsatisfiable' | undefined {
  const range = exchange.header('range');
  if (range === undefined) return undefined;
  // RFC 9110, 13.1.5: if the representation differs, the range is ignored.
  const ifRange = exchange.header('if-range');
  if (ifRange !== undefined && ifRange.replaceAll('"', '') !== digest) return undefined;
  return parseRange(range, size);
}

async function sendRanges(
  blobs: Blobs,
  exchange: Exchange,
  blob: Blob,
  headers: Record<string, string>,
  ranges: readonly ByteRange[] | undefined,
): Promise<void> {
  if (ranges !== undefined && ranges.length > 1) {
    return sendMultipart(blobs, exchange, blob, headers, ranges);
  }
  const { size } = blob;
  const range = ranges?.[0] ?? { start: 0, end: size - 1 };
  const status = ranges === undefined ? 200 : 206;
  const all = {
    ...headers,
    'Content-Type': octets,
    'Content-Length': range.end - range.start + 1,
    ...(ranges && { 'Content-Range': contentRange(range, size) }),
  };
  return exchange.replyBlob(status, all, [{ range, open: () => blobs.open(blob, ranges?.[0]) }]);
}

/** Sends one part for each range, in the order of the header, none merged: podman's zstd:chunked counts them. */
async function sendMultipart(
  blobs: Blobs,
  exchange: Exchange,
  blob: Blob,
  headers: Record<string, string>,
  ranges: readonly ByteRange[],
): Promise<void> {
  const boundary = randomBytes(16).toString('hex');
  const parts = ranges.map((range, i): BlobPart & { preamble: string } => ({
    range,
    open: () => blobs.open(blob, range),
    preamble: `${i === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${octets}\r\nContent-Range: ${contentRange(range, blob.size)}\r\n\r\n`,
  }));
  const epilogue = `\r\n--${boundary}--\r\n`;
  const length = parts.reduce(
    (sum, { preamble, range }) => sum + preamble.length + range.end - range.start + 1,
    epilogue.length,
  );
  const all = {
    ...headers,
    'Content-Type': `multipart/byteranges; boundary=${boundary}`,
    'Content-Length': length,
  };
  return exchange.replyBlob(206, all, parts, epilogue);
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}
