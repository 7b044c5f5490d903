import { type RunLimits, run } from './process.ts';

const GRACE_SECONDS = 10;
/** The units of time in wrk's output, in milliseconds. */
const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };

export interface WrkOptions {
  /** Several share the connections evenly, each with its own wrk. */
  readonly urls: readonly string[];
  readonly connections: number;
  readonly seconds: number;
  readonly accept?: string;
  readonly authorization?: string;
  readonly signal: AbortSignal;
}

export interface WrkFigures {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Repeats GET over keep-alive connections. Of several URLs, the rate is the sum and the latency the worst. */
export async function wrk({ urls, ...options }: WrkOptions): Promise<WrkFigures> {
  const connections = options.connections / urls.length;
  const all = await Promise.all(urls.map((url) => wrkOne(url, { ...options, connections })));
  return {
    requestsPerSecond: all.reduce((sum, one) => sum + one.requestsPerSecond, 0),
    p50Ms: Math.max(...all.map((one) => one.p50Ms)),
    p99Ms: Math.max(...all.map((one) => one.p99Ms)),
  };
}

async function wrkOne(url: string, options: Omit<WrkOptions, 'urls'>): Promise<WrkFigures> {
  const { connections, seconds, accept = '*/*', authorization, signal } = options;
  const args = [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    '-H',
    `Accept: ${accept}`,
    ...(authorization === undefined ? [] : ['-H', `Authorization: ${authorization}`]),
    '--',
    url,
  ];
  const limits: RunLimits = { signal, seconds: seconds + GRACE_SECONDS };
  const report = await run('wrk', args, limits);
  const requestsPerSecond = Number(/^Requests\/sec:\s+([\d.]+)/m.exec(report)?.[1]);
  if (!(requestsPerSecond > 0) || /Non-2xx|Socket errors/.test(report)) {
    throw new Error(`wrk ${url}:\n${report}`);
  }
  return { requestsPerSecond, p50Ms: percentileMs(report, 50), p99Ms: percentileMs(report, 99) };
}

function percentileMs(report: string, percent: number): number {
  const [, value, unit] = new RegExp(`^ *${percent}% +([\\d.]+)(us|ms|s)$`, 'm').exec(report) ?? [];
  return Number(value) * UNITS[unit ?? '']!;
}
