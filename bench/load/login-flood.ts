// Failed logins at a steady rate, in a separate thread, so that sending them does not slow down the measured requests.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const TICK_MS = 10;
/** Maximum number of logins that wait for an answer; with more, real clients would have given up. */
const MAX_WAITING = 256;
/** A wrong password; too many of them; a full queue. */
const REFUSALS = new Set([401, 429, 503]);

export interface Flood {
  /** Ends the flood; returns how many logins a second were refused, whatever the reason. */
  stop(): Promise<{ readonly answersPerSecond: number }>;
}

/** Sends logins of `perSecond` made-up users to `url`; resolves when the first one is answered. */
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
      if (!REFUSALS.has(statusCode)) throw new Error(`a failed login was answered ${statusCode}`);
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
