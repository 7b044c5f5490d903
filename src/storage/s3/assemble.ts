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

/** Bytes to be put together. */
export interface Assembly {
  readonly segments: readonly Segment[];
  /** The key of a segment's object. */
  readonly keyOf: (segment: Segment) => string;
  /** Where they go; what is there is replaced. */
  readonly key: string;
  /** CRC32 of all of them, where it is known. */
  readonly crc: number | undefined;
}

const partsAtOnce = 8;
/** Parts that are read back are held in memory, 15 MiB each at most; all uploads share these turns. */
const reading = new Semaphore(4);
/** Milliseconds in which the service copies `bytes`, or makes one object of parts with so many: at 50 MB/s and more. */
function patienceFor({ idleTimeout }: S3Bucket, bytes: number): number {
  return idleTimeout + (bytes / 2 ** 20) * 20;
}

/**
 * Makes one object of the segments; nothing of them passes through here but what is too short to be a part. Its size, and the
 * checksum where the service keeps one, are compared before this resolves.
 * @throws what the service says; a NoSuchKey as it came when a segment is gone
 */
export async function assemble(bucket: S3Bucket, assembly: Assembly): Promise<void> {
  const { segments, key, crc } = assembly;
  const parts = planParts(segments);
  const [only] = parts;
  if (parts.length > 1) await assembleParts(bucket, assembly, parts);
  else if (only?.kind === 'copy') await copyWhole(bucket, assembly, only.piece);
  else if (only)
    await reading.take(async () => putBytes(bucket, key, await readPieces(bucket, assembly, only.pieces)));
  else await putBytes(bucket, key, Buffer.alloc(0));
  await verify(bucket, key, sizeOf(segments), crc);
}

/** @param crc of the bytes, where it is known already */
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
      ...bucket.stored,
    }),
  );
}

async function copyWhole(bucket: S3Bucket, { key, keyOf }: Assembly, { segment }: Piece): Promise<void> {
  const source = bucket.sourceOf(keyOf(segment));
  await bucket.send(
    new CopyObjectCommand({ Bucket: bucket.name, Key: key, CopySource: source, ...bucket.stored }),
    { patience: patienceFor(bucket, segment.size) },
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
          { patience: patienceFor(bucket, end - start + 1) },
          (error) => isNamed(error, 'NoSuchKey'),
        );
        return CopyPartResult;
      }

      function sendPart(pieces: readonly Piece[]): Promise<CompletedPart> {
        return reading.take(async () => {
          const Body = await readPieces(bucket, assembly, pieces);
          const checksum = checked && { ChecksumCRC32: checksumHeader(crc32(Body)) };
          const part = { ...place, Body, ContentLength: Body.length, ...checksum };
          return bucket.send(new UploadPartCommand(part));
        });
      }
    });
    await complete(bucket, upload, made, sizeOf(assembly.segments));
  } catch (error) {
    // Where the service was only too slow to answer, the upload may be complete, and then this does nothing.
    await bucket.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}

const isWhole = ({ segment, start, end }: Piece): boolean => start === 0 && end === segment.size - 1;

/** What a service says that does not know a checksum of the whole. */
const unsupported = ['NotImplemented', 'InvalidRequest', 'InvalidArgument', 'BadRequest', 'MalformedXML'];

/** A new upload; `checked` where the service keeps a checksum of all its bytes, as of an object that came at once. */
async function createMultipart(
  bucket: S3Bucket,
  target: { Bucket: string; Key: string },
  parts: readonly Part[],
): Promise<{ UploadId: string | undefined; checked: boolean }> {
  const plain = { ...target, ...bucket.stored };
  // A part that is copied comes without a checksum of ours: AWS makes one, MinIO refuses the part for the lack of it, and versitygw 1.8
  // takes the checksum of a segment for that of a range of it.
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
    await bucket.send(command, { patience: patienceFor(bucket, size) }, (error) =>
      isNamed(error, 'NoSuchUpload'),
    );
  } catch (error) {
    // A repeat of a call whose answer was lost: the first one has done it, as the object shows, which is looked at next.
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
          `S3 gave ${bytes.length} bytes of a segment, ${end - start + 1} are wanted`,
        );
      }
      return bytes;
    }),
  );
  return Buffer.concat(all);
}

async function verify(bucket: S3Bucket, key: string, size: number, crc: number | undefined): Promise<void> {
  if (!(await isThere(bucket, key, size, crc))) {
    throw new StoreUnavailable(`S3 has something else where ${size} bytes were put together`);
  }
}

/** Whether `key` has an object of that size, and with that checksum where the service keeps one of the whole. */
async function isThere(
  bucket: S3Bucket,
  key: string,
  size: number,
  crc: number | undefined,
): Promise<boolean> {
  const command = new HeadObjectCommand({ Bucket: bucket.name, Key: key, ChecksumMode: 'ENABLED' });
  const found = await bucket.find(command);
  if (found?.ContentLength !== size) return false;
  // An object made of parts may have a checksum of its parts' checksums, which says so by the number behind it.
  const { ChecksumCRC32: kept, ChecksumType } = found;
  const ofAll = kept !== undefined && ChecksumType !== 'COMPOSITE' && !kept.includes('-');
  return !ofAll || crc === undefined || kept === checksumHeader(crc);
}
