import { type RunLimits, run } from './process.ts';

const GRACE_SECONDS = 10;

/** GETs `url` over `connections` kept connections from one thread; answers requests a second. */
export async function wrk(
  url: string,
  options: { connections: number; seconds: number; accept: string; signal: AbortSignal },
): Promise<number> {
  const { connections, seconds, accept, signal } = options;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-H', `Accept: ${accept}`, url];
  const limits: RunLimits = { signal, seconds: seconds + GRACE_SECONDS };
  const report = await run('wrk', args, limits);
  const rate = Number(/^Requests\/sec:\s+([\d.]+)/m.exec(report)?.[1]);
  if (!(rate > 0) || /Non-2xx|Socket errors/.test(report)) throw new Error(`wrk ${url}:\n${report}`);
  return rate;
}
