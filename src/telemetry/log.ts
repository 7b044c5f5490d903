// The process's log on standard output: JSON lines, or coloured ones on a terminal.
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

/** Bytes of lines that are written at once; fewer wait at most `FLUSH_EVERY` milliseconds. */
const MIN_WRITE = 4 * 1024;
const FLUSH_EVERY = 100;

/**
 * Maximum bytes of one write. A turn of the event loop completes one write: with pino's 16 KiB and 256 requests per
 * turn, 35,000 lines/s were more than could be written, and lines were dropped. A larger value makes each line more
 * expensive, as pino measures all waiting text again with it.
 */
const MAX_WRITE = 128 * 1024;

/** Bytes that may wait for a stalled reader; further lines are dropped, to limit memory. */
const BACKLOG = 16 * 1024 * 1024;

/** Header names that carry credentials, wherever an object with headers is logged. */
const CREDENTIALS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'];

/** Whether lines are pretty; `auto`: when standard output is a terminal. */
export function isPretty({ format }: Config['log']): boolean {
  return format === 'pretty' || (format === 'auto' && isatty(STDOUT));
}

/** Lines are written within 100 ms, and all of them at exit. */
export function createLogger(log: Config['log'], destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level: log.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
    redact: { paths: credentialPaths(), censor: '(hidden)' },
  };
  // Without the timer below, which would run as long as the process.
  if (log.level === 'silent') return pino(options, { write() {} });
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
 * Writes a line, without its line end, that another process's logger formatted. If both processes wrote to one pipe, they could
 * break each other's lines.
 */
export function logLine(logger: Logger, line: string): void {
  const stream = (logger as unknown as Record<symbol, DestinationStream>)[symbols.streamSym];
  // `prettyLines` adds the line end itself.
  stream?.write('minLength' in stream ? `${line}\n` : line);
}

/** Pretty lines are few enough to be written synchronously. */
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
