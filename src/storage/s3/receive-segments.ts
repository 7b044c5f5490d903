import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import type { AppendOptions } from '../blob-store.ts';
import { followBody } from '../follow-body.ts';
import { newSegmentName, type Segment } from './chain.ts';
import { SegmentBuffer } from './segment-buffer.ts';
import type { UploadMemory } from './upload-memory.ts';

/**
 * Bytes of a segment unless memory is scarce: 16 MiB, less the largest chunk of a socket, so that the buffer does not double for the
 * last chunk. (Each segment is an object; `planParts` makes S3 parts of them.)
 */
const segmentSize = (16 << 20) - (64 << 10);
const maxInFlight = 2;

export interface ReceiveOptions extends AppendOptions {
  readonly memory: UploadMemory;
  /** CRC32 of the upload's bytes before these. */
  readonly crc: number;
  /** Writes a segment's object; `crc` is of these bytes alone. */
  readonly put: (name: string, bytes: Buffer, crc: number) => Promise<void>;
  /** Called with written segments, in order and without gaps. */
  readonly written: (segments: readonly Segment[]) => void;
}

/**
 * Splits `body` into segments and writes them; fills the next one while others are being written. Resolves when the body has ended
 * or broken off and all received bytes are written, with the reason if it broke off. If a write fails, rejects after the other
 * writes have ended.
 */
export async function receiveSegments(body: Readable, options: ReceiveOptions): Promise<Error | undefined> {
  const { memory } = options;
  // Paused while it waits for memory, so that its client does not count as slow.
  body.pause();
  const receiver = { scarce: () => {} };
  await memory.enter(receiver);
  try {
    return await new Promise((resolve, reject) => {
      receive(body, options, receiver, resolve, reject);
    });
  } finally {
    memory.leave(receiver);
  }
}

function receive(
  body: Readable,
  { tap, signal, memory, put, written, ...start }: ReceiveOptions,
  receiver: { scarce: () => void },
  resolve: (interrupted: Error | undefined) => void,
  reject: (error: unknown) => void,
): void {
  const buffer = new SegmentBuffer((bytes) => memory.allocated(bytes));
  let crc = start.crc;
  let inFlight = 0;
  let ended = false;
  let interrupted: Error | undefined;
  let failure: { error: unknown } | undefined;
  /** Segments not yet reported, in the order of the body. */
  const unreported: { segment: Segment; done: boolean }[] = [];

  const settle = (): void => {
    if (inFlight > 0) return;
    if (failure) reject(failure.error);
    else if (ended && buffer.size === 0) resolve(interrupted);
  };

  const fail = (error: unknown): void => {
    if (failure) return;
    failure = { error };
    stopListening();
    buffer.drop();
  };

  const report = (): void => {
    const pending = unreported.findIndex(({ done }) => !done);
    const ready = unreported.splice(0, pending === -1 ? unreported.length : pending);
    if (ready.length > 0) written(ready.map(({ segment }) => segment));
  };

  const flush = async (): Promise<void> => {
    const { bytes, crc: own, memory: taken } = buffer.take();
    const name = newSegmentName();
    const entry = { segment: { name, size: bytes.length, crc }, done: false };
    unreported.push(entry);
    inFlight += 1;
    try {
      await put(name, bytes, own);
      entry.done = true;
      if (!failure) report();
    } catch (error) {
      fail(error);
    }
    inFlight -= 1;
    memory.allocated(-taken);
    proceed();
  };

  /** Sends a full or last segment, and pauses or resumes the body. */
  const proceed = (): void => {
    if (!failure) {
      const scarce = memory.isScarce;
      const full = buffer.size >= (scarce ? Math.min(memory.share, segmentSize) : segmentSize);
      const mayFlush = inFlight < (scarce ? 1 : maxInFlight);
      if (mayFlush && (full || ended) && buffer.size > 0) flush();
      else if (!ended && full && !body.isPaused()) body.pause();
      if (!ended && body.isPaused() && (!full || mayFlush)) body.resume();
    }
    settle();
  };

  receiver.scarce = proceed;
  const stopListening = followBody(body, signal, {
    data: (chunk) => {
      tap(chunk);
      crc = crc32(chunk, crc);
      buffer.append(chunk);
      proceed();
    },
    end: (reason) => {
      ended = true;
      interrupted = reason;
      proceed();
    },
  });
  if (!ended) body.resume();
}
