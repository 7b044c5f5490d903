import { type Logger, symbols } from 'pino';
import type { Identity } from '../access/identity.ts';
import type { Config } from '../config/schema.ts';
import { isPretty } from './log.ts';
import type { Metrics } from './metrics.ts';
import { withoutSecrets } from './redact-url.ts';

type Failure = Error & { readonly code: string; readonly detail?: unknown };

/** The facts about an answered request that logs and metrics need. */
export interface Answered {
  readonly request: {
    readonly id: string;
    readonly method?: string | undefined;
    readonly url?: string | undefined;
    readonly headers: Readonly<Record<string, string | string[] | undefined>>;
    readonly client: { readonly address: string };
  };
  /** Absent when the URL is unknown or malformed. */
  readonly route: { readonly action: string; readonly name?: string } | undefined;
  /** Absent where requests are not authenticated. */
  readonly identity: Identity | undefined;
  readonly status: number;
  /** Bytes of the answer's body. */
  readonly sent: number;
  /** Bytes of the request's body that were read. */
  readonly received: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly error: Failure | undefined;
  /** Whether it is a health check or a scrape, which come many times a minute. */
  readonly isProbe?: boolean;
}

/** A client in access lines. Only authenticated clients have a name, and perhaps a credential. */
interface Shown {
  readonly user?: string | undefined;
  readonly credential?: string | undefined;
}

export interface ObserveParts {
  readonly logger: Logger;
  /** Absent: requests are not counted. */
  readonly metrics?: Pick<Metrics, 'request'> | undefined;
  readonly log: Config['log'];
  readonly shown: (identity: Identity) => Shown;
}

/** Counts every request except probes, logs each when `access` is on, and logs the cause of server errors. */
export function observeRequests({ logger, metrics, log, shown }: ObserveParts): (answered: Answered) => void {
  const write = log.access ? accessWriter(logger, log, shown) : undefined;
  return (answered) => {
    const { request, route, status, sent, received, duration, error } = answered;
    const requestId = request.id;
    if (!answered.isProbe) {
      const { method = 'unknown' } = request;
      metrics?.request(route?.action ?? 'unknown', method, status, duration / 1000, received, sent);
    }
    if (error && status >= 500) {
      // Overload is no fault and has no cause to log.
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

/** Successful probes are logged at debug only: there may be one every second. */
function levelOf({ isProbe = false, status }: Answered): Level {
  return isProbe && status < 400 ? 'debug' : 'info';
}

/**
 * Writes access lines: sentences on a terminal, else JSON. JSON lines are formatted here and written to pino's stream directly:
 * at tens of thousands a second, pino's formatting would take a quarter of the processor.
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
  // The worker's number, if there are several workers.
  const bound = JSON.stringify(logger.bindings()).slice(1, -1);
  const prefix = bound && `${bound},`;
  return (answered) => {
    const level = levelOf(answered);
    if (!enabled[level]) return;
    const client = answered.identity === undefined ? {} : shown(answered.identity);
    if (pretty) logger[level]({ requestId: answered.request.id }, sentenceOf(answered, client));
    // Only pino's own file stream accepts formatted lines.
    else if (stream?.minLength === undefined) logger[level](fieldsOf(answered, client));
    else stream.write(lineOf(answered, client, level, prefix));
  };
}

function sentenceOf(answered: Answered, client: Shown): string {
  const { request, route, status, sent, received, duration, error } = answered;
  const what = route ? [route.action, route.name].filter(Boolean).join(' ') : withoutSecrets(request.url);
  const { user, credential } = client;
  const by = user === undefined ? '' : ` by ${user}${credential ? ` (${credential})` : ''}`;
  const outcome = error ? `${status} ${error.code}` : status;
  const text = `${request.method ?? 'malformed request'} ${what ?? ''}${by}`.trimEnd();
  // A name from an external token server may contain control characters for the terminal.
  return `${text}: ${outcome}, ${received} bytes in, ${sent} out, ${duration.toFixed(1)} ms`.replaceAll(
    /\p{Cc}/gu,
    '\u{fffd}',
  );
}

function fieldsOf(
  { request, route, status, sent, received, duration, error }: Answered,
  { user, credential }: Shown,
): Record<string, unknown> {
  return {
    requestId: request.id,
    method: request.method,
    url: withoutSecrets(request.url),
    action: route?.action,
    repository: route?.name,
    user,
    credential,
    status,
    received,
    sent,
    milliseconds: rounded(duration),
    remote: request.client.address || undefined,
    userAgent: request.headers['user-agent'],
    error: error?.code,
  };
}

/** `fieldsOf` as JSON. Escapes the client's text; actions, repositories, credentials and codes contain nothing to escape. */
function lineOf(
  { request, route, status, sent, received, duration, error }: Answered,
  { user, credential }: Shown,
  level: Level,
  prefix: string,
): string {
  const { id, method, url, headers } = request;
  const userAgent = headers['user-agent'];
  const { address } = request.client;
  return `{"level":"${level}","time":"${isoTime()}",${prefix}"requestId":"${id}"${
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

/** Cached: many lines fall into the same millisecond. */
function isoTime(): string {
  const now = Date.now();
  if (now !== lastTime) {
    lastTime = now;
    lastIso = new Date(now).toISOString();
  }
  return lastIso;
}
