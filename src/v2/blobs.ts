import { randomBytes } from 'node:crypto';
import { actorOf } from '../access/actor.ts';
import type { Permit } from '../access/permit.ts';
import type { Blob, Blobs } from '../core/blobs.ts';
import type { Answer, Headers } from '../http/answer.ts';
import { parseRange } from '../http/range.ts';
import type { HttpRequest } from '../http/request.ts';
import type { Digest } from '../oci/digest.ts';
import type { ByteRange } from '../storage/blob-store.ts';
import { isNotModified } from './conditions.ts';
import type { HandlerParts } from './handler.ts';
import type { RouteOf } from './routes.ts';

const octets = 'application/octet-stream';

function headersOf(digest: Digest): Headers {
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
  { blobs, redirects }: HandlerParts,
  request: HttpRequest,
  { name, digest }: RouteOf<'getBlob'>,
  { repository, mayCreate }: Permit,
): Promise<Answer> {
  const blob =
    request.isHead && mayCreate
      ? await blobs.findForPush(name, digest, repository)
      : await blobs.find(name, digest, repository);
  const headers = headersOf(digest);
  if (isNotModified(request, digest)) return { status: 304, headers };
  // RFC 9110, 14.2: ranges apply to GET only.
  if (request.isHead) {
    return { status: 200, headers: { ...headers, 'Content-Type': octets, 'Content-Length': blob.size } };
  }
  const ranges = wantedRanges(request, digest, blob.size);
  if (ranges === 'unsatisfiable') {
    return { status: 416, headers: { ...headers, 'Content-Range': `bytes */${blob.size}` } };
  }
  // Stores serve one range of a presigned URL, not several, and no range of an empty object.
  if (blob.size > 0 && (ranges?.length ?? 1) === 1 && redirects?.(request)) {
    const url = await blobs.redirectUrl(blob);
    if (url !== undefined) return redirectTo(url, digest);
  }
  if (ranges !== undefined && ranges.length > 1) return answerMultipart(blobs, blob, headers, ranges);
  return answerOnePart(blobs, blob, headers, ranges?.[0]);
}

/** The client repeats the request at the URL, with its Range and without its credentials (2.3). `no-store`: the URL expires soon. */
function redirectTo(url: string, digest: Digest): Answer {
  return {
    status: 307,
    headers: { Location: url, 'Docker-Content-Digest': digest, 'Cache-Control': 'no-store' },
  };
}

/** end-10 */
export async function deleteBlob(
  { blobs }: HandlerParts,
  request: HttpRequest,
  { name, digest }: RouteOf<'deleteBlob'>,
  { caller }: Permit,
): Promise<Answer> {
  await blobs.delete(name, digest, actorOf(caller.identity, request.origin));
  return { status: 202, headers: { 'Docker-Content-Digest': digest } };
}

function wantedRanges(
  request: HttpRequest,
  digest: Digest,
  size: number,
): readonly ByteRange[] | 'unsatisfiable' | undefined {
  const range = request.header('range');
  if (range === undefined) return undefined;
  // RFC 9110, 13.1.5: if the representation differs, the range is ignored.
  const ifRange = request.header('if-range');
  if (ifRange !== undefined && ifRange.replaceAll('"', '') !== digest) return undefined;
  return parseRange(range, size);
}

/** @param wanted `undefined`: the whole blob */
async function answerOnePart(
  blobs: Blobs,
  blob: Blob,
  headers: Headers,
  wanted: ByteRange | undefined,
): Promise<Answer> {
  const { size } = blob;
  const range = wanted ?? { start: 0, end: size - 1 };
  return {
    status: wanted === undefined ? 200 : 206,
    headers: {
      ...headers,
      'Content-Type': octets,
      'Content-Length': range.end - range.start + 1,
      ...(wanted && { 'Content-Range': contentRange(range, size) }),
    },
    body: { parts: [{ range }], opened: await blobs.open(blob, wanted), open: (r) => blobs.open(blob, r) },
  };
}

/** One part for each range, in the order of the header, none merged: podman's zstd:chunked counts them. */
async function answerMultipart(
  blobs: Blobs,
  blob: Blob,
  headers: Headers,
  ranges: readonly ByteRange[],
): Promise<Answer> {
  const boundary = randomBytes(16).toString('hex');
  const parts = ranges.map((range, i) => ({
    range,
    preamble: `${i === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${octets}\r\nContent-Range: ${contentRange(range, blob.size)}\r\n\r\n`,
  }));
  const epilogue = `\r\n--${boundary}--\r\n`;
  const length = parts.reduce(
    (sum, { preamble, range }) => sum + preamble.length + range.end - range.start + 1,
    epilogue.length,
  );
  const open = (range: ByteRange) => blobs.open(blob, range);
  return {
    status: 206,
    headers: {
      ...headers,
      'Content-Type': `multipart/byteranges; boundary=${boundary}`,
      'Content-Length': length,
    },
    body: { parts, opened: await open(ranges[0] as ByteRange), open, epilogue },
  };
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}
