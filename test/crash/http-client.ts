import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { Client } from '../support/inject.ts';

/** The request was sent, and no complete answer came: its outcome is unknown. */
export class NoAnswer extends Error {
  constructor(cause: unknown) {
    super('no answer', { cause });
    this.name = 'NoAnswer';
  }
}

/** An answer as Fastify's `inject` gives it. */
export interface Answered {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawPayload: Buffer;
}

/** Size in bytes above which a client waits for 100 Continue before it sends a body, as curl does. */
const waitsAbove = 256 << 10;

/** The tests' registry client for a process instead of an app. Each request has its own connection. */
export function clientOf(url: string): Client {
  const inject = ({ method, url: path, headers, payload }: InjectOptions) =>
    exchange(
      new URL(String(path), url),
      String(method),
      headers ?? {},
      payload as Buffer | string | undefined,
    );
  return new Client({ inject } as unknown as FastifyInstance);
}

/** @throws NoAnswer */
export function exchange(
  url: URL,
  method: string,
  headers: OutgoingHttpHeaders,
  body: Buffer | string | undefined,
  signal?: AbortSignal,
): Promise<Answered> {
  const length = body === undefined ? 0 : Buffer.byteLength(body);
  // A client that is refused while it sends a large body may lose the answer with the connection.
  const expect = length > waitsAbove ? { expect: '100-continue' } : {};
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(new NoAnswer(error));
    const sent = request(
      url,
      {
        method,
        agent: false,
        headers: { ...headers, ...expect, 'content-length': length },
        ...(signal && { signal }),
      },
      async (response) => {
        try {
          const chunks: Buffer[] = [];
          for await (const chunk of response) chunks.push(chunk as Buffer);
          resolve({
            statusCode: response.statusCode as number,
            headers: response.headers,
            rawPayload: Buffer.concat(chunks),
          });
        } catch (error) {
          fail(error);
        }
      },
    );
    sent.on('error', fail);
    if (length > waitsAbove) sent.on('continue', () => sent.end(body)).flushHeaders();
    else sent.end(body);
  });
}
