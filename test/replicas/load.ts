import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { examineWith } from '../support/fsck.ts';
import { recordedClient } from './client.ts';
import type { Cluster } from './cluster.ts';
import type { Exchange, Ledger } from './ledger.ts';
import { Pusher } from './pusher.ts';
import type { Random } from './random.ts';
import type { Replica } from './replica.ts';
import { RetryingClient } from './retrying-client.ts';

/** How many clients push and pull at once. */
const pushers = 4;

/** The most milliseconds between two actions of a client: more actions would only keep the cores busy. */
const longestRest = 400;

/** The promised limit in milliseconds from the end of the last fault until everything works again. */
export const recoversWithin = 30_000;

export interface UnderLoad {
  readonly cluster: Cluster;
  readonly ledger: Ledger;
  readonly random: Random;
}

export interface Outcome {
  readonly requests: number;
  /** Requests with unknown outcome: 5xx, or no answer. */
  readonly failures: readonly Exchange[];
  /** `performance.now()` when the load began. */
  readonly begin: number;
  /** Milliseconds from the end of the fault until every replica had served a push and a pull, and no request failed any more. */
  readonly recoveredAfter: number;
}

/** Milliseconds of load before a fault, and after the recovery. */
const around = 500;

let runs = 0;

/**
 * Lets clients push and pull through the balancer during `fault` and until all replicas have recovered. The ledger judges what the
 * clients saw.
 */
export async function disturb(
  { cluster, ledger, random }: UnderLoad,
  fault: () => Promise<void>,
): Promise<Outcome> {
  runs += 1;
  const url = `http://${cluster.host}`;
  const load = Array.from({ length: pushers }, (_, i) => {
    const retrying = new RetryingClient(`client ${i}`, recordedClient(url, ledger), ledger);
    return new Pusher(retrying, random, `load/${i}`);
  });
  const before = ledger.exchanges.length;
  const start = performance.now();
  let stopped = false;
  const running = Promise.all(
    load.map(async (pusher) => {
      while (!stopped) {
        await pusher.act();
        await delay(random.integer(0, longestRest));
      }
    }),
  );
  try {
    // A client whose assertion fails ends the whole load.
    const during = async () => {
      await delay(around);
      const begin = performance.now();
      await fault();
      const end = performance.now();
      await Promise.all(cluster.replicas.map((replica) => probe(replica, ledger)));
      const recovered = performance.now();
      await delay(around);
      return { begin, end, recovered };
    };
    const times = await Promise.race([
      during(),
      running.then(() => Promise.reject(new Error('the load ended'))),
    ]);
    stopped = true;
    await running;
    return { begin: start, ...judge(ledger.exchanges.slice(before), times) };
  } finally {
    stopped = true;
    await running.catch(() => {});
  }
}

function judge(
  exchanges: readonly Exchange[],
  { begin, end, recovered }: { begin: number; end: number; recovered: number },
): Omit<Outcome, 'begin'> {
  const failures = exchanges.filter(({ status }) => status === undefined || status >= 500);
  const early = failures.filter((failure) => failure.end < begin);
  if (early.length > 0) {
    const list = early.map(({ method, url, status }) => `${method} ${url}: ${status ?? 'no answer'}`);
    throw new Error(`before the fault, ${early.length} requests failed:\n${list.join('\n')}`);
  }
  const last = Math.max(recovered, ...failures.map((failure) => failure.begin));
  return { requests: exchanges.length, failures, recoveredAfter: last - end };
}

/** Repeats a push to the replica and a pull from it until both succeed. */
async function probe({ name, url }: Replica, ledger: Ledger): Promise<void> {
  const retrying = new RetryingClient(name, recordedClient(url, ledger), ledger, recoversWithin);
  const repository = `probe/${name.replace(' ', '-')}`;
  await retrying.untilSettled(async () => {
    const image = await retrying.client.image(repository);
    await retrying.client.pushManifest(repository, image, `run-${runs}`);
    const pulled = await retrying.client.get(`/v2/${repository}/manifests/run-${runs}`);
    if (pulled.status !== 200)
      throw new Error(`${name} does not serve the manifest that it accepted: ${pulled.status}`);
  });
}

/** Reads every URL written since `from` at each replica, for the ledger. */
export async function readBack({ cluster, ledger }: UnderLoad, from: number): Promise<void> {
  const urls = ledger.urls(from);
  await Promise.all(cluster.replicas.map((replica) => readAll(replica, ledger, [...urls])));
}

async function readAll({ name, url }: Replica, ledger: Ledger, urls: string[]): Promise<void> {
  const retrying = new RetryingClient(name, recordedClient(url, ledger), ledger);
  const read = async () => {
    for (let next = urls.pop(); next !== undefined; next = urls.pop()) await retrying.read(next);
  };
  await Promise.all([read(), read(), read()]);
}

/** Reads every URL once more, at one of the replicas, and runs `berth fsck` over every byte. */
export async function assertNothingLost(t: TestContext, system: UnderLoad, seed: number): Promise<void> {
  const { cluster, ledger } = system;
  // The replicas share one list.
  const urls = ledger.urls();
  await Promise.all(cluster.replicas.map((replica) => readAll(replica, ledger, urls)));
  assert.deepEqual(ledger.problems(), []);
  const { acknowledged, unanswered, reads } = ledger.count();
  t.diagnostic(
    `seed ${seed}: ${ledger.exchanges.length} requests, ${acknowledged} acknowledged writes, ${unanswered} of unknown outcome, ${reads} reads`,
  );
  assert.ok(acknowledged > 100 && unanswered > 0, 'the load was too light to show anything');
  const flags = cluster.data === undefined ? [] : ['--data', cluster.data];
  const { exitCode, findings, walked } = await examineWith(cluster.env, ...flags);
  assert.deepEqual([exitCode, findings.filter(({ severity }) => severity === 'error')], [0, []]);
  assert.ok(walked.blobs > 100 && walked.manifests > 50, JSON.stringify(walked));
}

export function describe({ requests, failures, recoveredAfter }: Outcome): string {
  const kinds = Object.entries(Object.groupBy(failures, ({ status }) => String(status ?? 'no answer')));
  const failed = kinds.map(([kind, list]) => `${list?.length} × ${kind}`).join(', ') || 'none';
  return `${requests} requests, of unknown outcome: ${failed}; recovered after ${Math.round(recoveredAfter)} ms`;
}
