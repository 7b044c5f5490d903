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
import { Visitor } from './visitor.ts';

/** How many clients push and pull at once. */
const pushers = 4;

/** The most milliseconds between two actions of a client: more actions would prove no more, and keep the cores busy. */
const longestRest = 200;

/** Promised: so long after the last fault everything works again. */
export const recoversWithin = 30_000;

export interface UnderLoad {
  readonly cluster: Cluster;
  readonly ledger: Ledger;
  readonly random: Random;
}

export interface Outcome {
  readonly requests: number;
  /** Those that were not settled: 5xx, or no answer. */
  readonly failures: readonly Exchange[];
  /** `performance.now()` when the load began. */
  readonly begin: number;
  /** Milliseconds from the end of the fault until every replica had served a push and a pull, and no request failed any more. */
  readonly recoveredAfter: number;
}

/** Milliseconds of load before a fault, and when all is well again. */
const around = 500;

let runs = 0;

/**
 * Has clients push and pull through the balancer while `fault` comes and goes, and until it is over for all of them. What they
 * saw on the way is for the ledger to judge.
 */
export async function disturb(
  { cluster, ledger, random }: UnderLoad,
  fault: () => Promise<void>,
): Promise<Outcome> {
  runs += 1;
  const url = `http://${cluster.host}`;
  const load = Array.from({ length: pushers }, (_, i) => {
    const visitor = new Visitor(`client ${i}`, recordedClient(url, ledger), ledger);
    return new Pusher(visitor, random, `load/${i}`);
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
    // A client that meets what must not be ends all of it.
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

/** A push to the replica and a pull from it, tried until they work. */
async function probe({ name, url }: Replica, ledger: Ledger): Promise<void> {
  const visitor = new Visitor(name, recordedClient(url, ledger), ledger, recoversWithin);
  const repository = `probe/${name.replace(' ', '-')}`;
  await visitor.settled(async () => {
    const image = await visitor.client.image(repository);
    await visitor.client.pushManifest(repository, image, `run-${runs}`);
    const pulled = await visitor.client.get(`/v2/${repository}/manifests/run-${runs}`);
    if (pulled.status !== 200) throw new Error(`${name} does not have what it took: ${pulled.status}`);
  });
}

/** Reads at each replica what was written since `from`, and tells the ledger. */
export async function readBack({ cluster, ledger }: UnderLoad, from: number): Promise<void> {
  const urls = ledger.urls(from);
  await Promise.all(cluster.replicas.map((replica) => readAll(replica, ledger, [...urls])));
}

async function readAll({ name, url }: Replica, ledger: Ledger, urls: string[]): Promise<void> {
  const visitor = new Visitor(name, recordedClient(url, ledger), ledger);
  const read = async () => {
    for (let next = urls.pop(); next !== undefined; next = urls.pop()) await visitor.look(next);
  };
  await Promise.all([read(), read(), read()]);
}

/** Reads everything once more, each thing at some replica, and has `berth fsck` read every byte. */
export async function assertNothingLost(t: TestContext, system: UnderLoad, seed: number): Promise<void> {
  const { cluster, ledger } = system;
  // The three take from one list.
  const urls = ledger.urls();
  await Promise.all(cluster.replicas.map((replica) => readAll(replica, ledger, urls)));
  assert.deepEqual(ledger.problems(), []);
  const { acknowledged, unanswered, reads } = ledger.count();
  t.diagnostic(
    `seed ${seed}: ${ledger.exchanges.length} requests, ${acknowledged} acknowledged writes, ${unanswered} not settled, ${reads} reads`,
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
  return `${requests} requests, not settled: ${failed}; recovered after ${Math.round(recoveredAfter)} ms`;
}
