import { type Logger, symbols } from 'pino';
import type { Config } from '../config/schema.ts';
import { isPretty } from './log.ts';
import type { Metrics } from './metrics.ts';
import { withoutSecrets } from './redact-url.ts';

/** A request that has been answered, as far as logs and metrics care. */
interface Answered {
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
  readonly route: { readonly action: string; readonly name?: string } | undefined;
  readonly status: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly error: (Error & { readonly code: string }) | undefined;
}

/** Counts every request, logs it when `access` is on, and logs the cause of what was the registry's own fault. */
export function observeRequests(
  logger: Logger,
  metrics: Metrics,
  log: Config['log'],
): (answered: Answered) => void {
  const write = log.access && logger.isLevelEnabled('info') ? accessWriter(logger, log) : undefined;
  return (answered) => {
    const { exchange, route, status, duration, error } = answered;
    const { request, requestId, sent, received } = exchange;
    metrics.request(
      route?.action ?? 'unknown',
      request.method as string,
      status,
      duration / 1000,
      received,
      sent,
    );
    if (error && status >= 500) logger.error({ requestId, err: error.cause ?? error }, error.message);
    write?.(answered);
  };
}

/**
 * Writes access lines: a sentence for a person at a terminal, fields for a machine. As JSON they are put together here and
 * go past pino to its stream: at tens of thousands a second pino's general way would take a quarter of the processor.
 */
function accessWriter(logger: Logger, log: Config['log']): (answered: Answered) => void {
  if (isPretty(log)) return (answered) => logger.info(sentenceOf(answered));
  const stream = (logger as unknown as Record<symbol, unknown>)[symbols.streamSym] as
    | { write(line: string): void; readonly minLength?: number }
    | undefined;
  // Only pino's own file stream takes lines as they are.
  if (stream?.minLength === undefined) return (answered) => logger.info(fieldsOf(answered));
  // A worker's number, where there are workers.
  const bound = JSON.stringify(logger.bindings()).slice(1, -1);
  const prefix = bound && `${bound},`;
  return (answered) => stream.write(lineOf(answered, prefix));
}

function sentenceOf({ exchange, route, status, duration, error }: Answered): string {
  const { request, sent, received } = exchange;
  const what = route ? [route.action, route.name].filter(Boolean).join(' ') : withoutSecrets(request.url);
  const outcome = error ? `${status} ${error.code}` : status;
  return `${request.method} ${what}: ${outcome}, ${received} bytes in, ${sent} out, ${duration.toFixed(1)} ms`;
}

function fieldsOf({ exchange, route, status, duration, error }: Answered): Record<string, unknown> {
  const { request, requestId, sent, received } = exchange;
  return {
    requestId,
    method: request.method,
    url: withoutSecrets(request.url),
    action: route?.action,
    repository: route?.name,
    status,
    received,
    sent,
    milliseconds: rounded(duration),
    remote: exchange.client.address || undefined,
    userAgent: request.headers['user-agent'],
    error: error?.code,
  };
}

/** The same fields. What a client sent is escaped; actions, names and codes cannot hold anything that needs it. */
function lineOf({ exchange, route, status, duration, error }: Answered, prefix: string): string {
  const { request, requestId, sent, received } = exchange;
  const userAgent = request.headers['user-agent'];
  const { address } = exchange.client;
  return `{"level":"info","time":"${isoTime()}",${prefix}"requestId":"${requestId}","method":"${request.method}","url":${JSON.stringify(
    withoutSecrets(request.url),
  )}${route ? `,"action":"${route.action}"` : ''}${
    route?.name ? `,"repository":"${route.name}"` : ''
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
