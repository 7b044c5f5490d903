import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';

/** A request to the service. */
export interface S3Call {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/**
 * The fault of a call: rejected with a status, cut off before or after the real server did the work, never answered, answered with
 * 200 and an error in the body, or with a truncated body.
 */
export type S3Fault =
  | keyof typeof refusals
  | 'reset'
  | 'lost answer'
  | 'silence'
  | 'error in 200'
  | 'cut body';

/** Chooses the fault of each call; `undefined` lets it through. */
export type FaultRule = (call: S3Call) => S3Fault | undefined;

/** A proxy in front of a real S3 server that injects faults. */
export interface S3Proxy {
  readonly endpoint: string;
  /** The calls so far. */
  readonly calls: S3Call[];
  /** Rule for all further calls. */
  rule: FaultRule;
  /** Modifies the text of each listing. */
  listing: (xml: string, call: S3Call) => string;
}

const refusals = {
  'slow down': [503, 'SlowDown'],
  'internal error': [500, 'InternalError'],
  'quota exceeded': [403, 'QuotaExceeded'],
  'not implemented': [501, 'NotImplemented'],
  'access denied': [403, 'AccessDenied'],
  'missing content length': [411, 'MissingContentLength'],
} as const;

const isRefusal = (fault: S3Fault): fault is keyof typeof refusals => fault in refusals;

export async function startS3Proxy(t: TestContext, endpoint: string): Promise<S3Proxy> {
  const target = new URL(endpoint);
  const server = createServer((incoming, response) => {
    answer(incoming, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  const proxy: S3Proxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    rule: () => undefined,
    listing: (xml) => xml,
  };

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { headers } = incoming;
    const call = { method: incoming.method as string, url: incoming.url as string, headers };
    proxy.calls.push(call);
    const fault = proxy.rule(call);
    const body = await buffer(incoming);
    if (fault === 'reset') return void response.destroy();
    if (fault === 'silence') return;
    if (fault !== undefined && isRefusal(fault)) {
      const [status, code] = refusals[fault];
      return void response.writeHead(status).end(errorXml(code));
    }
    if (fault === 'error in 200') return void response.writeHead(200).end(errorXml('InternalError'));
    const real = await forward(incoming, body);
    if (fault === 'lost answer') {
      real.resume();
      await once(real, 'end');
      return void response.destroy();
    }
    if (/[?&]list-type=2/.test(call.url)) {
      const xml = proxy.listing((await buffer(real)).toString(), call);
      return void response.writeHead(real.statusCode as number).end(xml);
    }
    response.writeHead(real.statusCode as number, real.rawHeaders);
    if (fault !== 'cut body') return void real.pipe(response);
    const half = Math.floor(Number(real.headers['content-length']) / 2);
    const bytes = await buffer(real);
    response.write(bytes.subarray(0, half), () => response.destroy());
  }

  /** Forwards a request with the same Host, which is part of the signature. */
  async function forward(
    { method, url, rawHeaders }: IncomingMessage,
    body: Buffer,
  ): Promise<IncomingMessage> {
    const { hostname, port } = target;
    const outgoing = request({ method, hostname, port, path: url, headers: rawHeaders as never });
    outgoing.end(body);
    const [real] = (await once(outgoing, 'response')) as [IncomingMessage];
    return real;
  }

  return proxy;
}

function errorXml(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>made to fail</Message></Error>`;
}

/** Fails the k-th call from now on; `hit` is that call. */
export function failKth(at: number, fault: S3Fault): { rule: FaultRule; hit(): string | undefined } {
  let seen = 0;
  let hit: string | undefined;
  return {
    hit: () => hit,
    rule({ method, url }) {
      seen += 1;
      if (seen !== at) return undefined;
      hit = `${method} ${url}`;
      return fault;
    },
  };
}
