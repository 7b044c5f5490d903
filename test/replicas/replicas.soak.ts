// `npm run test:soak`: random faults, sometimes two at once, for SOAK_MINUTES, 10 by default. SOAK_SEED repeats the load
// and the order of faults of a run.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { needs } from '../support/needs.ts';
import { startCluster } from './cluster.ts';
import { disturbWire, type Fault, killReplicas, restartReplicas, stopPostgres } from './faults.ts';
import { Ledger } from './ledger.ts';
import { assertNothingLost, describe, disturb, readBack, recoversWithin, type UnderLoad } from './load.ts';
import { Random } from './random.ts';

const end = performance.now() + Number(process.env.SOAK_MINUTES ?? 10) * 60_000;
const seed = Number(process.env.SOAK_SEED ?? randomInt(2 ** 31));

const faults: Readonly<Record<string, Fault>> = {
  'replicas killed': killReplicas,
  'replicas restarted': restartReplicas,
  'PostgreSQL stopped': stopPostgres,
  'PostgreSQL silent': disturbWire('database', 'silent'),
  'PostgreSQL cut': disturbWire('database', 'cut'),
  'bucket 503': disturbWire('bucket', 'unavailable'),
  'bucket silent': disturbWire('bucket', 'silent'),
  'bucket cut': disturbWire('bucket', 'cut'),
  'clients cut': disturbWire('clients', 'cut'),
};

const names = Object.keys(faults);

test('three replicas lose nothing under random faults', async (t) => {
  if (!needs(t, 'postgres', 'nginx', 'versitygw')) return;
  t.diagnostic(`SOAK_SEED=${seed}`);
  const random = new Random(seed);
  const cluster = await startCluster(t, { storage: 'S3' });
  const system: UnderLoad = { cluster, ledger: new Ledger(), random };
  while (performance.now() < end) {
    // Two faults of the same part would end each other.
    const [one, two] = [random.pick(names)!, random.pick(names)!];
    const chosen = one.split(' ')[0] === two.split(' ')[0] ? [one] : [one, two];
    const time = random.integer(1_000, 20_000);
    await t.test(`${chosen.join(' and ')}, ${time} ms`, async (t) => {
      const outcome = await disturb(system, async () => {
        await Promise.all(chosen.map((name) => faults[name]!(cluster, time)));
      });
      t.diagnostic(describe(outcome));
      assert.ok(outcome.recoveredAfter < recoversWithin);
      await readBack(system, outcome.begin);
      assert.deepEqual(system.ledger.problems(), []);
    });
  }
  await assertNothingLost(t, system, seed);
});
