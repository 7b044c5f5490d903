import { Readable } from 'node:stream';
import { DeleteObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import {
  type AppendOptions,
  type AppendResult,
  type BlobKey,
  type StagedFile,
  type StagedUpload,
  UploadLost,
} from '../blob-store.ts';
import { concurrently } from '../concurrently.ts';
import { assemble, putBytes } from './assemble.ts';
import type { S3Bucket } from './bucket.ts';
import { chainOf, crcOf, formatChain, newSegmentName, parse, type Segment, sizeOf } from './chain.ts';
import { isNamed } from './errors.ts';
import { listObjects } from './list.ts';
import { segmentsToJoin } from './parts.ts';
import { openObject } from './read.ts';
import { receiveSegments } from './receive-segments.ts';
import { UploadMemory } from './upload-memory.ts';

/** Bytes of uploads that a process holds in memory on their way to the bucket. */
const memoryLimit = 256 << 20;
const callsAtOnce = 8;

/**
 * Uploads as chains of segments: objects that are written once and listed only in the session's row. So a writer that lost the
 * session cannot change recorded bytes, and unrecorded segments are ignored.
 */
export class S3Uploads {
  readonly #bucket: S3Bucket;
  readonly #folder: string;
  readonly #memory: UploadMemory;

  constructor(bucket: S3Bucket, limit = memoryLimit) {
    this.#memory = new UploadMemory(limit);
    this.#bucket = bucket;
    this.#folder = `${bucket.prefix}uploads/`;
  }

  /** Bytes in memory. */
  get memoryUsed(): number {
    return this.#memory.used;
  }

  async append(upload: StagedUpload, body: Readable, options: AppendOptions): Promise<AppendResult> {
    const chain = chainOf(upload);
    const recorded = new Set(chain);
    const keyOf = this.#keysOf(upload.id);
    const made: string[] = [];
    let joining: Promise<void> | undefined;
    /** Joins the last segments into one while more arrive, so that the chain's text does not grow with each small chunk. */
    const join = async (run: Segment[]): Promise<void> => {
      const one = await this.#join(run, keyOf, run[0] === chain[0], made);
      chain.splice(chain.indexOf(run[0] as Segment), run.length, one);
      await this.#remove(run.filter((segment) => !recorded.has(segment)).map(keyOf));
    };
    const written = (segments: readonly Segment[]): void => {
      chain.push(...segments);
      const run = joining === undefined ? segmentsToJoin(chain) : undefined;
      // After a failure the chain is longer, but still valid; the next segment triggers another try.
      if (run) {
        joining = join(run)
          .catch(() => {})
          .finally(() => {
            joining = undefined;
          });
      }
    };
    const put = async (name: string, bytes: Buffer, crc: number): Promise<void> => {
      made.push(name);
      await putBytes(this.#bucket, keyOf({ name }), bytes, crc);
    };
    try {
      const memory = this.#memory;
      const interrupted = await receiveSegments(body, {
        ...options,
        memory,
        crc: crcOf(chain),
        put,
        written,
      });
      await joining;
      const size = sizeOf(chain);
      const staged = size === upload.size ? upload.staged : formatChain(chain);
      return { size, staged, ...(interrupted && { interrupted }) };
    } catch (error) {
      await joining;
      await this.#remove(made.map((name) => keyOf({ name })));
      throw error;
    }
  }

  /** Only checks that the segments exist: they are written once, so the former writer cannot change them. */
  async adopt(upload: StagedUpload): Promise<string> {
    const keyOf = this.#keysOf(upload.id);
    await concurrently(chainOf(upload), callsAtOnce, async (segment) => {
      const command = new HeadObjectCommand({ Bucket: this.#bucket.name, Key: keyOf(segment) });
      if ((await this.#bucket.find(command))?.ContentLength !== segment.size) throw new UploadLost(upload.id);
    });
    return upload.staged;
  }

  async read({ id, size, staged }: StagedUpload): Promise<Readable> {
    if (size === 0) return Readable.from([]);
    const chain = parse(staged);
    const found = sizeOf(chain);
    if (found < size) throw new UploadLost(id, found === 0 ? undefined : found);
    const keyOf = this.#keysOf(id);
    const open = async (segment: Segment, left: number): Promise<Readable> => {
      const range = left < segment.size ? { start: 0, end: left - 1 } : undefined;
      const opened = await openObject(this.#bucket, keyOf(segment), range);
      if (opened?.size !== segment.size) {
        opened?.close();
        throw new UploadLost(id);
      }
      return opened.stream;
    };
    // Opens the first segment now, so that a lost upload is reported here and not in the middle of the stream.
    const first = await open(chain[0] as Segment, size);
    const stream = Readable.from(bytesOf(first, chain, size, open), { objectMode: false });
    // If the stream is destroyed before it is read, its generator never starts and does not close `first`.
    return stream.once('close', () => first.destroy());
  }

  async commit(upload: StagedUpload, key: BlobKey): Promise<void> {
    const segments = chainOf(upload);
    const keyOf = this.#keysOf(upload.id);
    const target = `${this.#bucket.prefix}${key}`;
    const crc = crcOf(segments);
    try {
      await assemble(this.#bucket, { segments, keyOf, key: target, crc });
    } catch (error) {
      throw isNamed(error, 'NoSuchKey') ? new UploadLost(upload.id) : error;
    }
  }

  /** Does not delete segments of unrecorded appends, which are not in `staged`; garbage collection deletes them. */
  async abort({ id, staged }: StagedUpload, kept = ''): Promise<void> {
    const keyOf = this.#keysOf(id);
    const keptKeys = new Set(parse(kept).map(keyOf));
    const keys = parse(staged)
      .map(keyOf)
      .filter((key) => !keptKeys.has(key));
    await concurrently(keys, callsAtOnce, (key) => this.#deleteObject(key));
  }

  async *list(): AsyncIterable<StagedFile> {
    for await (const { key, modifiedAt } of listObjects(this.#bucket, this.#folder)) {
      const name = key.slice(this.#folder.length);
      yield { name, upload: name.split('/')[0] as string, modifiedAt };
    }
  }

  async delete(name: string): Promise<void> {
    await this.#deleteObject(this.#folder + name);
  }

  #keysOf(id: string): (segment: Pick<Segment, 'name'>) => string {
    return ({ name }) => `${this.#folder}${id}/${name}`;
  }

  async #join(
    segments: readonly Segment[],
    keyOf: (segment: Pick<Segment, 'name'>) => string,
    fromStart: boolean,
    made: string[],
  ): Promise<Segment> {
    const name = newSegmentName();
    made.push(name);
    const crc = crcOf(segments);
    await assemble(this.#bucket, { segments, keyOf, key: keyOf({ name }), crc: fromStart ? crc : undefined });
    return { name, size: sizeOf(segments), crc };
  }

  /** Ignores failures: garbage collection deletes the rest. */
  async #remove(keys: readonly string[]): Promise<void> {
    await concurrently(keys, callsAtOnce, (key) => this.#deleteObject(key)).catch(() => {});
  }

  async #deleteObject(key: string): Promise<void> {
    await this.#bucket.send(new DeleteObjectCommand({ Bucket: this.#bucket.name, Key: key }));
  }
}

/** The first `size` bytes of the segments; `first` is the first one, already open. */
async function* bytesOf(
  first: Readable,
  segments: readonly Segment[],
  size: number,
  open: (segment: Segment, left: number) => Promise<Readable>,
): AsyncIterable<Buffer> {
  let left = size;
  for (const [index, segment] of segments.entries()) {
    if (left <= 0) return;
    yield* index === 0 ? first : await open(segment, left);
    left -= segment.size;
  }
}
