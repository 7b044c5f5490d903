import type { FastifyInstance, InjectOptions } from 'fastify';
import { exchange, NoAnswer } from '../crash/http-client.ts';
import { Client } from '../support/inject.ts';
import { type Ledger, Unsettled } from './ledger.ts';

/** Milliseconds for which a client waits for an answer. */
const patience = 60_000;

/** A registry client that records every request and answer in the ledger. Its requests throw {@link Unsettled}. */
export function recordedClient(url: string, ledger: Ledger): Client {
  const inject = async ({ method, url: path, headers, payload }: InjectOptions) => {
    const begin = performance.now();
    const record = (status: number | undefined, causeOf: () => unknown) => {
      const entry = { method: String(method), url: String(path), begin, end: performance.now(), status };
      ledger.exchanges.push(entry);
      if (status === undefined || status >= 500) throw new Unsettled(entry, causeOf());
    };
    const target = new URL(String(path), url);
    const body = payload as Buffer | string | undefined;
    const signal = AbortSignal.timeout(patience);
    let answer: Awaited<ReturnType<typeof exchange>>;
    try {
      answer = await exchange(target, String(method), headers ?? {}, body, signal);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      record(undefined, () => error);
      throw error;
    }
    // Pulled blobs are not decoded.
    record(answer.statusCode, () => answer.rawPayload.toString());
    return answer;
  };
  return new Client({ inject } as unknown as FastifyInstance);
}
