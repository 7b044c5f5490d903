// Bad logins at a steady rate, in a thread of its own: what sends them must not slow down what is measured beside them.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const TICK_MS = 10;
/** More would be answers that nobody waits for any longer. */
const MAX_WAITING = 256;
/** Wrong; too many wrong ones; too many that wait to be looked at. */
const REFUSALS = new Set([401, 429, 503]);

export interface Flood {
  /** Ends it; how many logins a second were refused, for whatever reason. */
  stop(): Promise<{ readonly answersPerSecond: number }>;
}

/** Sends logins of `perSecond` made-up users to `url`; it is on its way when the first one was answered. */
export async function floodLogins(url: URL, perSecond: number): Promise<Flood> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { url: url.href, perSecond } });
  await once(worker, 'message');
  return {
    async stop() {
      worker.postMessage('stop');
      const [answersPerSecond] = await once(worker, 'message');
      await worker.terminate();
      return { answersPerSecond };
    },
  };
}

function flood(url: string, perSecond: number): void {
  const agent = new http.Agent({ keepAlive: true, maxSockets: MAX_WAITING });
  const begin = performance.now();
  let [sent, waiting, answered] = [0, 0, 0];

  const login = () => {
    const credentials = `user${sent++}:${randomBytes(8).toString('hex')}`;
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    waiting += 1;
    const request = http.get(url, { agent, headers: { authorization } }, (response) => {
      const { statusCode = 0 } = response;
      if (!REFUSALS.has(statusCode)) throw new Error(`a bad login: ${statusCode}`);
      response.resume().on('end', () => {
        waiting -= 1;
        if (answered++ === 0) parentPort!.postMessage('begun');
      });
    });
    request.on('error', (error) => {
      throw error;
    });
  };
  setInterval(() => {
    const due = ((performance.now() - begin) / 1000) * perSecond;
    while (sent < due && waiting < MAX_WAITING) login();
  }, TICK_MS);
  parentPort!.once('message', () => {
    parentPort!.postMessage(answered / ((performance.now() - begin) / 1000));
  });
}

if (!isMainThread) flood(workerData.url, workerData.perSecond);
