// The process's log, on standard output: JSON lines for machines, coloured ones for a terminal.
import { isatty } from 'node:tty';
import {
  type DestinationStream,
  type Logger,
  type LoggerOptions,
  pino,
  stdTimeFunctions,
  symbols,
} from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Config } from '../config/schema.ts';

const STDOUT = 1;

/** Bytes of lines that are worth a write; fewer wait no longer than `FLUSH_EVERY` milliseconds. */
const MIN_WRITE = 4 * 1024;
const FLUSH_EVERY = 100;

/**
 * The most that one write carries. A turn of the event loop can end one write: with pino's 16 KiB and 256
 * requests a turn, 35,000 lines/s outran the writes and lines were dropped. More makes each line dearer, for
 * what waits is measured again with it.
 */
const MAX_WRITE = 128 * 1024;

/** What may wait for a reader that has stalled; beyond it lines are dropped rather than memory filled. */
const BACKLOG = 16 * 1024 * 1024;

/** Header names that carry credentials, wherever an object with headers is logged. */
const CREDENTIALS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'];

/** Whether lines are written for people: `auto` looks whether standard output is a terminal. */
export function isPretty({ format }: Config['log']): boolean {
  return format === 'pretty' || (format === 'auto' && isatty(STDOUT));
}

/** A line is on its way to the operating system within 100 ms, and all of them are at exit. */
export function createLogger(log: Config['log'], destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level: log.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
    redact: { paths: credentialPaths(), censor: '(hidden)' },
  };
  if (isPretty(log)) return pino(options, prettyLines(destination));
  const stdout = () =>
    pino.destination({
      dest: STDOUT,
      sync: false,
      minLength: MIN_WRITE,
      maxWrite: MAX_WRITE,
      maxLength: BACKLOG,
      periodicFlush: FLUSH_EVERY,
    });
  return pino(options, destination ?? stdout());
}

/**
 * Passes on a line that another process's logger has made, without its end. Two processes that wrote to one pipe could break
 * each other's lines.
 */
export function logLine(logger: Logger, line: string): void {
  const stream = (logger as unknown as Record<symbol, DestinationStream>)[symbols.streamSym];
  // Lines for people end with `prettyLines`.
  stream?.write('minLength' in stream ? `${line}\n` : line);
}

/** Lines for people come slowly enough to be written at once. */
function prettyLines(destination: DestinationStream = pino.destination({ dest: STDOUT, sync: true })) {
  const prettify = prettyFactory({
    colorize: isatty(STDOUT),
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
  });
  return { write: (line: string) => destination.write(prettify(line)) };
}

function credentialPaths(): string[] {
  return CREDENTIALS.flatMap((name) =>
    ['headers', 'req.headers', 'res.headers'].map((at) => `${at}["${name}"]`),
  );
}
