import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import type { AppendOptions } from '../blob-store.ts';
import { followBody } from '../follow-body.ts';
import { newSegmentName, type Segment } from './chain.ts';
import { SegmentBuffer } from './segment-buffer.ts';
import type { UploadMemory } from './upload-memory.ts';

/** Bytes of a segment while memory is plenty: 16 MiB, less what a socket delivers at once, so that the buffer never doubles for it. */
export const segmentSize = (16 << 20) - (64 << 10);
const maxInFlight = 2;

export interface ReceiveOptions extends AppendOptions {
  readonly memory: UploadMemory;
  /** CRC32 of the upload's bytes before these. */
  readonly crc: number;
  /** Writes a segment's object; `crc` is of these bytes alone. */
  readonly put: (name: string, bytes: Buffer, crc: number) => Promise<void>;
  /** Told of each run of segments from the first on that have been written. */
  readonly written: (segments: readonly Segment[]) => void;
}

/**
 * Cuts `body` into segments and writes them, the next one filling while the last are on their way. Resolves when the body has
 * ended, in one way or another, and all that came of it is written: with why it ended early, if it did. Rejects when writing
 * failed, once nothing is on its way any more.
 */
export async function receiveSegments(body: Readable, options: ReceiveOptions): Promise<Error | undefined> {
  const { memory } = options;
  // Before anybody listens: a body that waits for its turn is one that this side keeps waiting.
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
  /** In the body's order, those that are not reported yet. */
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

  /** Sends what is due, and lets the body flow when there is room for more. */
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
