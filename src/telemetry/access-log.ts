import { type Logger, symbols } from 'pino';
import type { Identity } from '../access/identity.ts';
import type { Config } from '../config/schema.ts';
import { isPretty } from './log.ts';
import type { Metrics } from './metrics.ts';
import { withoutSecrets } from './redact-url.ts';

type Failure = Error & { readonly code: string; readonly detail?: unknown };

/** A request that has been answered, as far as logs and metrics care. */
export interface Answered {
  readonly exchange: {
    readonly request: {
      readonly method?: string | undefined;
      readonly url?: string | undefined;
      readonly headers: Readonly<Record<string, string | string[] | undefined>>;
    };
    readonly client: { readonly address: string };
    readonly requestId: string;
    readonly sent: number;
    readonly received: number;
  };
  /** Absent when the URL named nothing, or was none. */
  readonly route: { readonly action: string; readonly name?: string } | undefined;
  /** Absent where nobody is asked who they are. */
  readonly identity: Identity | undefined;
  readonly status: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly error: Failure | undefined;
  /** Monitoring asks it many times a minute. */
  readonly isProbe?: boolean;
}

/** A client as access lines show it: only one that has shown who they are has a name, and perhaps a credential. */
interface Shown {
  readonly user?: string | undefined;
  readonly credential?: string | undefined;
}

/** What observing requests needs. */
export interface ObserveParts {
  readonly logger: Logger;
  /** Absent: they are not counted. */
  readonly metrics?: Pick<Metrics, 'request'> | undefined;
  readonly log: Config['log'];
  readonly shown: (identity: Identity) => Shown;
}

/** Counts every request but monitoring's own, logs each when `access` is on, and logs the cause of what was the registry's own fault. */
export function observeRequests({ logger, metrics, log, shown }: ObserveParts): (answered: Answered) => void {
  const write = log.access ? accessWriter(logger, log, shown) : undefined;
  return (answered) => {
    const { exchange, route, status, duration, error } = answered;
    const { request, requestId, sent, received } = exchange;
    if (!answered.isProbe) {
      const { method = 'unknown' } = request;
      metrics?.request(route?.action ?? 'unknown', method, status, duration / 1000, received, sent);
    }
    if (error && status >= 500) {
      // Too much at once is no fault, and there is nothing behind it to be told.
      if (error.code === 'UNAVAILABLE' && error.cause === undefined)
        logger.warn({ requestId }, textOf(error));
      else logger.error({ requestId, err: error.cause ?? error }, error.message);
    }
    write?.(answered);
  };
}

function textOf({ message, detail }: Failure): string {
  return typeof detail === 'string' ? `${message}: ${detail}` : message;
}

type Level = 'info' | 'debug';

/** Monitoring that finds all well is not worth a line a second. */
function levelOf({ isProbe = false, status }: Answered): Level {
  return isProbe && status < 400 ? 'debug' : 'info';
}

/**
 * Writes access lines: a sentence for a person at a terminal, fields for a machine. As JSON they are put together here and
 * go past pino to its stream: at tens of thousands a second pino's general way would take a quarter of the processor.
 */
function accessWriter(
  logger: Logger,
  log: Config['log'],
  shown: ObserveParts['shown'],
): (answered: Answered) => void {
  const enabled = { info: logger.isLevelEnabled('info'), debug: logger.isLevelEnabled('debug') };
  const pretty = isPretty(log);
  const stream = (logger as unknown as Record<symbol, unknown>)[symbols.streamSym] as
    | { write(line: string): void; readonly minLength?: number }
    | undefined;
  // A worker's number, where there are workers.
  const bound = JSON.stringify(logger.bindings()).slice(1, -1);
  const prefix = bound && `${bound},`;
  return (answered) => {
    const level = levelOf(answered);
    if (!enabled[level]) return;
    const who = answered.identity === undefined ? {} : shown(answered.identity);
    if (pretty) logger[level]({ requestId: answered.exchange.requestId }, sentenceOf(answered, who));
    // Only pino's own file stream takes lines as they are.
    else if (stream?.minLength === undefined) logger[level](fieldsOf(answered, who));
    else stream.write(lineOf(answered, who, level, prefix));
  };
}

function sentenceOf({ exchange, route, status, duration, error }: Answered, who: Shown): string {
  const { request, sent, received } = exchange;
  const what = route ? [route.action, route.name].filter(Boolean).join(' ') : withoutSecrets(request.url);
  const by = who.user === undefined ? '' : ` by ${who.user}${who.credential ? ` (${who.credential})` : ''}`;
  const outcome = error ? `${status} ${error.code}` : status;
  const text = `${request.method ?? 'malformed request'} ${what ?? ''}${by}`.trimEnd();
  // A name from another token server may hold anything, also what plays tricks on a terminal.
  return `${text}: ${outcome}, ${received} bytes in, ${sent} out, ${duration.toFixed(1)} ms`.replaceAll(
    /\p{Cc}/gu,
    '\u{fffd}',
  );
}

function fieldsOf(
  { exchange, route, status, duration, error }: Answered,
  who: Shown,
): Record<string, unknown> {
  const { request, requestId, sent, received } = exchange;
  return {
    requestId,
    method: request.method,
    url: withoutSecrets(request.url),
    action: route?.action,
    repository: route?.name,
    user: who.user,
    credential: who.credential,
    status,
    received,
    sent,
    milliseconds: rounded(duration),
    remote: exchange.client.address || undefined,
    userAgent: request.headers['user-agent'],
    error: error?.code,
  };
}

/** The same fields. What a client sent is escaped; actions, repositories, credentials and codes cannot hold anything that needs it. */
function lineOf(
  { exchange, route, status, duration, error }: Answered,
  { user, credential }: Shown,
  level: Level,
  prefix: string,
): string {
  const { request, requestId, sent, received } = exchange;
  const { method, url, headers } = request;
  const userAgent = headers['user-agent'];
  const { address } = exchange.client;
  return `{"level":"${level}","time":"${isoTime()}",${prefix}"requestId":"${requestId}"${
    method === undefined ? '' : `,"method":"${method}"`
  }${url === undefined ? '' : `,"url":${JSON.stringify(withoutSecrets(url))}`}${
    route ? `,"action":"${route.action}"` : ''
  }${route?.name ? `,"repository":"${route.name}"` : ''}${
    user === undefined ? '' : `,"user":${JSON.stringify(user)}`
  }${
    credential === undefined ? '' : `,"credential":"${credential}"`
  },"status":${status},"received":${received},"sent":${sent},"milliseconds":${rounded(duration)}${
    address && `,"remote":"${address}"`
  }${userAgent === undefined ? '' : `,"userAgent":${JSON.stringify(userAgent)}`}${
    error ? `,"error":"${error.code}"` : ''
  }}\n`;
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

let lastTime = 0;
let lastIso = '';

/** Thousands of lines share a millisecond's text. */
function isoTime(): string {
  const now = Date.now();
  if (now !== lastTime) {
    lastTime = now;
    lastIso = new Date(now).toISOString();
  }
  return lastIso;
}
