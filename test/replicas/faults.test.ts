import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { needs } from '../support/needs.ts';
import { startCluster } from './cluster.ts';
import { dockerEngine, runEngine, skopeoEngine } from './engines.ts';
import { disturbWire, type Fault, killReplicas, restartReplicas, stopPostgres } from './faults.ts';
import { Ledger } from './ledger.ts';
import { assertNothingLost, describe, disturb, readBack, recoversWithin, type UnderLoad } from './load.ts';
import { Random } from './random.ts';

/** Milliseconds for which PostgreSQL and the bucket are down. */
const outage = 7_000;
/** Milliseconds for which connections break. */
const breaking = 2_500;

const faults: readonly [name: string, fault: Fault, time: number][] = [
  ['replicas are killed and restarted, one after another', killReplicas, 0],
  ['replicas are taken from the balancer, stopped and started, one after another', restartReplicas, 0],
  ['PostgreSQL is down for seven seconds', stopPostgres, outage],
  ['the bucket answers 503 for seven seconds', disturbWire('bucket', 'unavailable'), outage],
  ['the bucket does not answer for seven seconds', disturbWire('bucket', 'silent'), outage],
  ['connections between clients and balancer break', disturbWire('clients', 'cut'), breaking],
  ['connections between replicas and bucket break', disturbWire('bucket', 'cut'), breaking],
  ['connections between replicas and PostgreSQL break', disturbWire('database', 'cut'), breaking],
];

test('three replicas over PostgreSQL and S3, behind a balancer, lose nothing while', async (t) => {
  if (!needs(t, 'postgres', 'nginx', 'versitygw', 'dockerd', 'docker', 'skopeo')) return;
  const seed = randomInt(2 ** 31);
  const random = new Random(seed);
  const cluster = await startCluster(t, { storage: 'S3' });
  const ledger = new Ledger();
  const system: UnderLoad = { cluster, ledger, random };
  const place = { host: cluster.host, ledger, random };
  const engines = await Promise.all([dockerEngine(t, place), skopeoEngine(t, place)]);
  const runs = engines.map(runEngine);

  for (const [name, fault, time] of faults) {
    await t.test(name, async (t: TestContext) => {
      const outcome = await disturb(system, () => fault(cluster, time));
      t.diagnostic(describe(outcome));
      assert.ok(outcome.recoveredAfter < recoversWithin);
      // No request fails if a replica is removed from the balancer before it stops.
      if (fault === restartReplicas) assert.deepEqual(outcome.failures, []);
      await readBack(system, outcome.begin);
      assert.deepEqual(ledger.problems(), []);
    });
  }

  for (const [name, wire] of Object.entries(cluster.wires))
    assert.ok(wire && wire.cuts > 0, `no connection was cut: ${name}`);

  await t.test('docker and skopeo push and pull continuously', async (t) => {
    for (const run of runs) {
      const { name, done, givenUp } = await run.stop();
      t.diagnostic(`${name}: ${done} pushes and pulls, gave up ${givenUp.length} times`);
      assert.ok(done > 3, givenUp[0]?.message ?? `${done} in all`);
    }
    // Without faults, each of them must succeed.
    for (const engine of engines) {
      await engine.push();
      await engine.pull();
    }
  });

  await t.test('at the end every replica serves everything', (t) => assertNothingLost(t, system, seed));
});
