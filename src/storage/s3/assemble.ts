import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Semaphore } from '../../oci/semaphore.ts';
import { mapConcurrently } from '../concurrently.ts';
import { StoreUnavailable } from '../store-errors.ts';
import type { S3Bucket } from './bucket.ts';
import { checksumHeader, type Segment, sizeOf } from './chain.ts';
import { isNamed, storeError } from './errors.ts';
import { type Part, type Piece, planParts } from './parts.ts';

/** Segments to join into one object. */
export interface Assembly {
  readonly segments: readonly Segment[];
  /** Object key of a segment. */
  readonly keyOf: (segment: Segment) => string;
  /** Key of the result; an existing object is replaced. */
  readonly key: string;
  /** CRC32 of all bytes, if known. */
  readonly crc: number | undefined;
}

const partsAtOnce = 8;
/** Limits how many parts, of at most 15 MiB, all uploads together read back into memory. */
const readBack = new Semaphore(4);
/** Milliseconds that the service may take to copy `bytes`, or to complete an object of that size: at least 50 MB/s. */
function responseTimeoutFor({ idleTimeout }: S3Bucket, bytes: number): number {
  return idleTimeout + (bytes / 2 ** 20) * 20;
}

/**
 * Joins the segments into one object. The service copies them; this process only reads back and sends segments that are too short
 * for a part. At the end it checks the object's size, and its checksum if the service keeps one.
 * @throws the errors of {@link S3Bucket.send}; the service's own NoSuchKey if a segment is missing
 */
export async function assemble(bucket: S3Bucket, assembly: Assembly): Promise<void> {
  const { segments, key, crc } = assembly;
  const parts = planParts(segments);
  const [only] = parts;
  if (parts.length > 1) await assembleParts(bucket, assembly, parts);
  else if (only?.kind === 'copy') await copyWhole(bucket, assembly, only.piece);
  else if (only)
    await readBack.run(async () => putBytes(bucket, key, await readPieces(bucket, assembly, only.pieces)));
  else await putBytes(bucket, key, Buffer.alloc(0));
  await verify(bucket, key, sizeOf(segments), crc);
}

/** @param crc CRC32 of the bytes, if known already */
export async function putBytes(
  bucket: S3Bucket,
  key: string,
  bytes: Buffer,
  crc = crc32(bytes),
): Promise<void> {
  await bucket.send(
    new PutObjectCommand({
      Bucket: bucket.name,
      Key: key,
      Body: bytes,
      ContentLength: bytes.length,
      ChecksumCRC32: checksumHeader(crc),
      ...bucket.objectSettings,
    }),
  );
}

async function copyWhole(bucket: S3Bucket, { key, keyOf }: Assembly, { segment }: Piece): Promise<void> {
  const source = bucket.sourceOf(keyOf(segment));
  await bucket.send(
    new CopyObjectCommand({ Bucket: bucket.name, Key: key, CopySource: source, ...bucket.objectSettings }),
    { responseTimeout: responseTimeoutFor(bucket, segment.size) },
    (error) => isNamed(error, 'NoSuchKey'),
  );
}

async function assembleParts(bucket: S3Bucket, assembly: Assembly, parts: readonly Part[]): Promise<void> {
  const { key } = assembly;
  const target = { Bucket: bucket.name, Key: key };
  const { UploadId, checked } = await createMultipart(bucket, target, parts);
  const upload = { ...target, UploadId };
  try {
    const made = await mapConcurrently(parts, partsAtOnce, async (part, index): Promise<CompletedPart> => {
      const place = { ...upload, PartNumber: index + 1 };
      const made = part.kind === 'copy' ? await copyPart(part.piece) : await sendPart(part.pieces);
      const { ETag, ChecksumCRC32 } = made ?? {};
      return { PartNumber: place.PartNumber, ETag, ...(checked && { ChecksumCRC32 }) };

      async function copyPart(piece: Piece): Promise<CompletedPart | undefined> {
        const { segment, start, end } = piece;
        const CopySource = bucket.sourceOf(assembly.keyOf(segment));
        const CopySourceRange = isWhole(piece) ? {} : { CopySourceRange: `bytes=${start}-${end}` };
        const { CopyPartResult } = await bucket.send(
          new UploadPartCopyCommand({ ...place, CopySource, ...CopySourceRange }),
          { responseTimeout: responseTimeoutFor(bucket, end - start + 1) },
          (error) => isNamed(error, 'NoSuchKey'),
        );
        return CopyPartResult;
      }

      function sendPart(pieces: readonly Piece[]): Promise<CompletedPart> {
        return readBack.run(async () => {
          const Body = await readPieces(bucket, assembly, pieces);
          const checksum = checked && { ChecksumCRC32: checksumHeader(crc32(Body)) };
          const part = { ...place, Body, ContentLength: Body.length, ...checksum };
          return bucket.send(new UploadPartCommand(part));
        });
      }
    });
    await complete(bucket, upload, made, sizeOf(assembly.segments));
  } catch (error) {
    // If the service was only too slow to answer, the upload may be complete. The abort then does nothing.
    await bucket.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}

const isWhole = ({ segment, start, end }: Piece): boolean => start === 0 && end === segment.size - 1;

/** Errors of services that do not support full-object checksums. */
const unsupported = ['NotImplemented', 'InvalidRequest', 'InvalidArgument', 'BadRequest', 'MalformedXML'];

/** Starts a multipart upload; `checked` says whether the service keeps a checksum of all its bytes. */
async function createMultipart(
  bucket: S3Bucket,
  target: { Bucket: string; Key: string },
  parts: readonly Part[],
): Promise<{ UploadId: string | undefined; checked: boolean }> {
  const plain = { ...target, ...bucket.objectSettings };
  // A checksum needs all parts to be sent, as Berth gives none for a copied part: AWS computes it, MinIO rejects the part without
  // one, and versitygw 1.8 uses the checksum of the whole segment for a range of it.
  if (parts.every((part) => part.kind === 'send')) {
    const checked = { ...plain, ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;
    const refused = (error: unknown): boolean => isNamed(error, ...unsupported);
    try {
      const { UploadId } = await bucket.send(new CreateMultipartUploadCommand(checked), {}, refused);
      return { UploadId, checked: true };
    } catch (error) {
      if (!refused(error)) throw error;
    }
  }
  const { UploadId } = await bucket.send(new CreateMultipartUploadCommand(plain));
  return { UploadId, checked: false };
}

async function complete(
  bucket: S3Bucket,
  upload: { Bucket: string; Key: string; UploadId: string | undefined },
  parts: CompletedPart[],
  size: number,
): Promise<void> {
  const command = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } });
  try {
    await bucket.send(command, { responseTimeout: responseTimeoutFor(bucket, size) }, (error) =>
      isNamed(error, 'NoSuchUpload'),
    );
  } catch (error) {
    // The first call completed the upload, its answer was lost, and the retry finds no upload. `verify` checks the object next.
    if (!isNamed(error, 'NoSuchUpload')) throw error;
  }
}

async function readPieces(bucket: S3Bucket, { keyOf }: Assembly, pieces: readonly Piece[]): Promise<Buffer> {
  const all = await Promise.all(
    pieces.map(async ({ segment, start, end }) => {
      const command = new GetObjectCommand({
        Bucket: bucket.name,
        Key: keyOf(segment),
        ...(end < segment.size - 1 && { Range: `bytes=${start}-${end}` }),
      });
      const { Body } = await bucket.send(command, {}, (error) => isNamed(error, 'NoSuchKey'));
      const bytes = await buffer(Body as Readable).catch((error: unknown) => {
        throw storeError('GetObject', error);
      });
      if (bytes.length !== end - start + 1) {
        throw new StoreUnavailable(
          `S3 returned ${bytes.length} bytes of a segment instead of ${end - start + 1}`,
        );
      }
      return bytes;
    }),
  );
  return Buffer.concat(all);
}

async function verify(bucket: S3Bucket, key: string, size: number, crc: number | undefined): Promise<void> {
  if (!(await isStored(bucket, key, size, crc))) {
    throw new StoreUnavailable(
      `S3 reports a wrong size or checksum for an object that was joined from ${size} bytes`,
    );
  }
}

/** Whether the object has this size and, if the service keeps a full-object checksum, this checksum. */
async function isStored(
  bucket: S3Bucket,
  key: string,
  size: number,
  crc: number | undefined,
): Promise<boolean> {
  const command = new HeadObjectCommand({ Bucket: bucket.name, Key: key, ChecksumMode: 'ENABLED' });
  const found = await bucket.find(command);
  if (found?.ContentLength !== size) return false;
  // A composite checksum is not compared: it is a checksum of the parts' checksums, marked by a trailing `-` and their number.
  const { ChecksumCRC32: kept, ChecksumType } = found;
  const ofAll = kept !== undefined && ChecksumType !== 'COMPOSITE' && !kept.includes('-');
  return !ofAll || crc === undefined || kept === checksumHeader(crc);
}
