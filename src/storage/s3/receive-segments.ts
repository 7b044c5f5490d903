import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import type { AppendOptions } from '../blob-store.ts';
import { followBody } from '../follow-body.ts';
import { newSegmentName, type Segment } from './chain.ts';
import { SegmentBuffer } from './segment-buffer.ts';
import type { UploadMemory } from './upload-memory.ts';

/**
 * Bytes of a segment unless memory is scarce (an object of its own; `planParts` makes S3 parts of segments): 16 MiB, less what a
 * socket delivers at once, so that the buffer does not double for the last chunk.
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
 * Splits `body` into segments and writes them, filling the next one while others are being sent. Resolves when the body has ended
 * or broken off and all received bytes are written, with the reason if it broke off. Rejects when writing failed, once no write is
 * running any more.
 */
export async function receiveSegments(body: Readable, options: ReceiveOptions): Promise<Error | undefined> {
  const { memory } = options;
  // A body that waits for memory is paused by Berth: its client must not count as slow.
  body.pause();
  const holder = { scarce: () => {} };
  await memory.enter(holder);
  try {
    return await new Promise((resolve, reject) => {
      receive(body, options, holder, resolve, reject);
    });
  } finally {
    memory.leave(holder);
  }
}

function receive(
  body: Readable,
  { tap, signal, memory, put, written, ...start }: ReceiveOptions,
  holder: { scarce: () => void },
  resolve: (interrupted: Error | undefined) => void,
  reject: (error: unknown) => void,
): void {
  const buffer = new SegmentBuffer((bytes) => memory.hold(bytes));
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
    leave();
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
    memory.hold(-taken);
    goOn();
  };

  /** Sends a full or last segment, and pauses or resumes the body. */
  const goOn = (): void => {
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

  holder.scarce = goOn;
  const leave = followBody(body, signal, {
    data: (chunk) => {
      tap(chunk);
      crc = crc32(chunk, crc);
      buffer.append(chunk);
      goOn();
    },
    end: (reason) => {
      ended = true;
      interrupted = reason;
      goOn();
    },
  });
  if (!ended) body.resume();
}
