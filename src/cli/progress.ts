// Reports the progress of long commands: on a terminal as one line that is overwritten, else as a line every few seconds, or JSON.
import { printBytes } from '../core/print-bytes.ts';
import type { Context } from './context.ts';

export interface Work {
  readonly name: string;
  /** The counted unit: `blobs`, `rows`. */
  readonly unit: string;
  readonly total: number;
  /** Set if the remaining time is estimated from bytes. */
  readonly totalBytes?: number;
}

export interface Done {
  readonly count: number;
  readonly bytes: number;
  /** Per second, over the last seconds. */
  readonly rate: number;
  readonly bytesRate: number;
  /** Estimated remaining seconds; absent while unknown. */
  readonly left?: number;
}

/** Milliseconds between two lines. */
const every = { terminal: 250, elsewhere: 5_000 };
/** Milliseconds over which a rate is measured. */
const window = 15_000;

interface Sample {
  readonly time: number;
  readonly count: number;
  readonly bytes: number;
}

export class Progress {
  readonly #context: Context;
  readonly #json: boolean;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #work: Work | undefined;
  #count = 0;
  #bytes = 0;
  #samples: Sample[] = [];
  /** Whether the terminal shows a progress line, which the next line overwrites. */
  #lineShown = false;

  constructor(context: Context, { json }: { json: boolean }, now = (): number => performance.now()) {
    this.#context = context;
    this.#json = json;
    this.#now = now;
    this.#timer = setInterval(() => this.print(), this.#overwrites ? every.terminal : every.elsewhere);
  }

  get #overwrites(): boolean {
    return this.#context.terminal === true && !this.#json;
  }

  begin(work: Work): void {
    this.#work = work;
    this.#count = 0;
    this.#bytes = 0;
    this.#samples = [{ time: this.#now(), count: 0, bytes: 0 }];
  }

  /** Corrects the total, if it is an estimate. */
  expect(total: number): void {
    if (this.#work !== undefined) this.#work = { ...this.#work, total };
  }

  add({ count = 0, bytes = 0 }: { count?: number; bytes?: number }): void {
    this.#count += count;
    this.#bytes += bytes;
  }

  /** Prints the progress. */
  print(): void {
    if (this.#work === undefined) return;
    const done = this.#measure(this.#work);
    if (this.#json) {
      this.#context.out(`${JSON.stringify({ progress: { ...this.#work, ...done } })}\n`);
    } else if (this.#overwrites) {
      this.#context.err(`\r\x1b[K${describe(this.#work, done)}`);
      this.#lineShown = true;
    } else {
      this.#context.err(`${describe(this.#work, done)}\n`);
    }
  }

  /** Prints a line that is not overwritten. */
  printLine(text: string): void {
    this.#clear();
    this.#context.err(`${text}\n`);
  }

  /** Prints a line of the command's result, on standard output. */
  result(text: string): void {
    this.#clear();
    this.#context.out(`${text}\n`);
  }

  /** Prints an error. */
  problem(problem: string): void {
    if (this.#json) this.#context.out(`${JSON.stringify({ problem })}\n`);
    else this.printLine(`error: ${problem}`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #clear(): void {
    if (this.#lineShown) this.#context.err('\r\x1b[K');
    this.#lineShown = false;
  }

  #measure({ total, totalBytes }: Work): Done {
    const now = { time: this.#now(), count: this.#count, bytes: this.#bytes };
    this.#samples.push(now);
    while (this.#samples.length > 2 && (this.#samples[1] as Sample).time < now.time - window)
      this.#samples.shift();
    const first = this.#samples[0] as Sample;
    const seconds = Math.max((now.time - first.time) / 1000, 0.001);
    const rate = (now.count - first.count) / seconds;
    const bytesRate = (now.bytes - first.bytes) / seconds;
    const left =
      totalBytes === undefined ? (total - now.count) / rate : Math.max(0, totalBytes - now.bytes) / bytesRate;
    return {
      count: now.count,
      bytes: now.bytes,
      rate: Math.round(rate),
      bytesRate: Math.round(bytesRate),
      ...(Number.isFinite(left) && { left: Math.max(0, Math.round(left)) }),
    };
  }
}

export function describe({ name, unit, total, totalBytes }: Work, done: Done): string {
  const parts = [`${name}: ${grouped(done.count)} of ${grouped(total)} ${unit}`];
  if (totalBytes === undefined) parts.push(`${grouped(done.rate)}/s`);
  else
    parts.push(`${printBytes(done.bytes)} of ${printBytes(totalBytes)}`, `${printBytes(done.bytesRate)}/s`);
  if (done.left !== undefined) parts.push(`${printSeconds(done.left)} left`);
  return parts.join(', ');
}

function grouped(number: number): string {
  return number.toLocaleString('en-US');
}

export function printSeconds(seconds: number): string {
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
