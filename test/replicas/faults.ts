import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from './cluster.ts';
import type { WireState } from './wire.ts';

/** Disturbs a cluster for `time` milliseconds, or as long as the fault takes, and then restores it. */
export type Fault = (cluster: Cluster, time: number) => Promise<void>;

export async function killReplicas({ replicas }: Cluster): Promise<void> {
  for (const replica of replicas) {
    await replica.stop('SIGKILL');
    await delay(500);
    await replica.start();
  }
}

/** Like an orchestrator: removes each replica from the balancer, then stops it. */
export async function restartReplicas({ replicas, balancer }: Cluster): Promise<void> {
  const hosts = replicas.map(({ host }) => host);
  for (const replica of replicas) {
    await balancer.use(hosts.filter((host) => host !== replica.host));
    assert.deepEqual(await replica.stop('SIGTERM'), { code: 0, signal: null });
    await replica.start();
    await balancer.use(hosts);
  }
}

export async function stopPostgres({ postgres }: Cluster, time: number): Promise<void> {
  await postgres.stop();
  await delay(time);
  await postgres.start();
}

/** Disturbs the connections from clients to the balancer, or from replicas to the bucket or to PostgreSQL. */
export function disturbWire(wire: keyof Cluster['wires'], state: WireState): Fault {
  return async ({ wires }, time) => {
    wires[wire]?.set(state);
    await delay(time);
    wires[wire]?.set('open');
  };
}
