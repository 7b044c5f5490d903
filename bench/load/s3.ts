// Pushes directly to the S3 server with the AWS SDK, to compare with pushes through Berth.
import { randomBytes } from 'node:crypto';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { pool } from './pool.ts';
import { MIB } from './push.ts';

/** The credentials of the server and of all its clients. */
export const S3_KEY = { accessKeyId: 'bench', secretAccessKey: 'bench-secret' } as const;

const PART_MIB = 16;
const PARTS_AT_ONCE = 4;
const PRESIGNED_SECONDS = 3600;

export function s3Client(endpoint: string): S3Client & Disposable {
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: S3_KEY,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  return Object.assign(client, { [Symbol.dispose]: () => client.destroy() });
}

/** Runs `streams` multipart uploads of `mib` at once; also returns a presigned URL of the first. */
export async function pushToS3(
  client: S3Client,
  bucket: string,
  prefix: string,
  mib: number,
  streams: number,
) {
  const part = randomBytes(Math.min(PART_MIB, mib) * MIB);
  const parts = Math.ceil(mib / PART_MIB);
  const keys = Array.from({ length: streams }, (_, stream) => `${prefix}/big${stream}`);
  const begin = performance.now();
  await Promise.all(keys.map((key) => putMultipart(client, { Bucket: bucket, Key: key }, part, parts)));
  const seconds = (performance.now() - begin) / 1000;
  const command = new GetObjectCommand({ Bucket: bucket, Key: keys[0]! });
  const url = await getSignedUrl(client, command, { expiresIn: PRESIGNED_SECONDS });
  const bytes = parts * part.length * streams;
  return { mibPerSecond: bytes / MIB / seconds, bytes, url };
}

async function putMultipart(
  client: S3Client,
  object: { Bucket: string; Key: string },
  part: Buffer,
  parts: number,
): Promise<void> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
  const upload = { ...object, UploadId };
  const Parts: CompletedPart[] = [];
  await pool(parts, PARTS_AT_ONCE, async (index) => {
    const PartNumber = index + 1;
    const command = new UploadPartCommand({ ...upload, PartNumber, Body: part });
    const { ETag } = await client.send(command);
    Parts[index] = { PartNumber, ETag };
  });
  await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
}

/** Pushes the three blobs of each small image (see `pushImage`) as three objects at once. */
export async function pushSmallToS3(
  client: S3Client,
  bucket: string,
  prefix: string,
  images: number,
  concurrency: number,
) {
  const put = (key: string, size: number) =>
    client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/${key}`, Body: randomBytes(size) }));
  const putImage = (index: number) =>
    Promise.all([put(`${index}/config`, 1024), put(`${index}/small`, 4096), put(`${index}/large`, 65536)]);
  await putImage(images);
  const begin = performance.now();
  await pool(images, concurrency, putImage);
  return { imagesPerSecond: images / ((performance.now() - begin) / 1000) };
}
