import { randomBytes } from 'node:crypto';
import { type StagedUpload, UploadLost } from '../blob-store.ts';

/** An object with the next bytes of an upload; written once, never changed. */
export interface Segment {
  /** Unique within the upload, never reused. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** CRC32 of all the upload's bytes up to the segment's end. */
  readonly crc: number;
}

export function newSegmentName(): string {
  return randomBytes(9).toString('base64url');
}

/** The chain as stored in the session's row: `name:size:crc`, numbers in base 36, separated by commas. */
export function formatChain(segments: readonly Segment[]): string {
  return segments.map(({ name, size, crc }) => `${name}:${size.toString(36)}:${crc.toString(36)}`).join(',');
}

/**
 * The segments that hold exactly the upload's bytes.
 * @throws UploadLost when the chain is shorter, or no segment ends at the upload's size
 */
export function chainOf({ id, size, staged }: StagedUpload): Segment[] {
  const all = parse(staged);
  let total = 0;
  for (const [index, segment] of all.entries()) {
    if (total === size) return all.slice(0, index);
    total += segment.size;
  }
  if (total !== size) throw new UploadLost(id, staged === '' ? undefined : total);
  return all;
}

export function sizeOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { size }) => sum + size, 0);
}

export function crcOf(segments: readonly Segment[]): number {
  return segments.at(-1)?.crc ?? 0;
}

/** A CRC32 in the format of `x-amz-checksum-crc32`. */
export function checksumHeader(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

/** Parses a chain. The `staged` of another kind of store gives no segments. */
export function parse(staged: string): Segment[] {
  const segments: Segment[] = [];
  for (const part of staged === '' ? [] : staged.split(',')) {
    const [, name, size, crc] = /^([\w-]{1,32}):([0-9a-z]{1,11}):([0-9a-z]{1,7})$/.exec(part) ?? [];
    if (name === undefined) return [];
    segments.push({
      name,
      size: Number.parseInt(size as string, 36),
      crc: Number.parseInt(crc as string, 36),
    });
  }
  return segments;
}
