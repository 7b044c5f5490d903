import type { FastifyBaseLogger } from 'fastify';
import type { Metrics } from './metrics.ts';

/** A request that has been answered, as far as logs and metrics care. */
interface Answered {
  readonly exchange: {
    readonly request: {
      readonly method?: string | undefined;
      readonly url?: string | undefined;
      readonly headers: Readonly<Record<string, string | string[] | undefined>>;
      readonly socket: { readonly remoteAddress?: string | undefined };
    };
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
  logger: FastifyBaseLogger,
  metrics: Metrics,
  { access }: { access: boolean },
): (answered: Answered) => void {
  return ({ exchange, route, status, duration, error }) => {
    const { request, requestId, sent, received } = exchange;
    const method = request.method as string;
    metrics.request({ route: route?.action ?? 'unknown', method, status }, duration / 1000, received, sent);
    if (error && status >= 500) logger.error({ requestId, err: error.cause ?? error }, error.message);
    if (!access) return;
    logger.info({
      requestId,
      method,
      // As sent: it may hold anything, and JSON keeps it one line.
      url: request.url,
      action: route?.action,
      repository: route?.name,
      status,
      received,
      sent,
      milliseconds: Math.round(duration * 1000) / 1000,
      remote: request.socket.remoteAddress,
      userAgent: request.headers['user-agent'],
      error: error?.code,
    });
  };
}
