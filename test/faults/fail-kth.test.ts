// Runs every scenario with its first call failing, then its second, and so on, until it runs without a fault.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { AppParts } from '../../src/app.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { testRegistry } from '../support/registry.ts';
import { faultOf, repeat, send } from './client.ts';
import { examine } from './consistency.ts';
import { descriptorsBackTo, openDescriptors } from './descriptors.ts';
import { failingDatabase } from './failing-database.ts';
import { failingFiles } from './failing-files.ts';
import { failingStore } from './failing-store.ts';
import { type FaultCode, type FaultMoment, Faults } from './faults.ts';
import { type MakeScenario, type Scenario, scenarios } from './scenarios.ts';

const codes: readonly FaultCode[] = ['EIO', 'ENOSPC', 'EMFILE'];
const maxCalls = 500;
/** Milliseconds; longer than the lease of an upload. */
const lease = 20_000;

/** Where a fault is injected: below the store, between core and store, between core and database. */
const layers: Record<string, (data: string, faults: Faults) => Promise<AppParts>> = {
  files: async (data, faults) => ({ store: await openFilesystemStore(data, failingFiles(faults)) }),
  store: async (data, faults) => ({ store: failingStore(await openFilesystemStore(data), faults) }),
  database: async (data, faults) => ({
    database: failingDatabase(await openSqlite(join(data, 'berth.db')), faults),
  }),
};

/** Scenarios that call no file function, so that none can fail. */
const onlyRows = new Set([
  'push: a manifest by digest with tags',
  'mount',
  'delete: a tag, a manifest, a blob',
  'referrers',
]);

for (const layer of Object.keys(layers)) {
  for (const [name, make] of Object.entries(scenarios)) {
    if (layer !== 'database' && onlyRows.has(name)) continue;
    for (const moment of ['before', 'after'] as const) {
      test(`${name}: each call of the ${layer} in turn fails ${moment} its work`, (t) =>
        failEach(t, layer, moment, make));
    }
  }
}

async function failEach(
  t: TestContext,
  layer: string,
  moment: FaultMoment,
  make: MakeScenario,
): Promise<void> {
  const faults = new Faults();
  let skew = 0;
  const { app, data } = await testRegistry(t, {}, async (data) => ({
    ...(await layers[layer]!(data, faults)),
    clock: () => Date.now() + skew,
  }));
  const { url } = await app.listen();
  const run = async (scenario: Scenario): Promise<void> => {
    await scenario.run((step) => send(url, step));
    await scenario.verify((step) => send(url, step));
  };
  // The first round opens the descriptors that stay open.
  const warm = make('warm');
  await warm.prepare?.((step) => send(url, step));
  await run(warm);
  const descriptors = openDescriptors(data);

  const hits: string[] = [];
  const orphans = new Map<string, string>();
  for (let at = 1; at < maxCalls; at++) {
    const code = codes[at % codes.length] as FaultCode;
    const scenario = make(`r${at}`);
    await scenario.prepare?.((step) => send(url, step));
    faults.arm({ at, code, moment });
    const failed = await faultOf(() => scenario.run((step) => send(url, step)));
    faults.disarm();
    const { hit } = faults;
    if (failed) {
      assert.ok(hit, `the server failed without an injected fault: ${failed.message}`);
      // A lease that was taken before the failure has to expire.
      if (moment === 'after') skew += lease;
      await repeat(url, failed.step);
    } else {
      await scenario.verify((step) => send(url, step));
    }
    const { problems, orphanUploads } = examine(data);
    assert.deepEqual(problems, [], `after ${code} in call ${at}, ${hit}`);
    for (const id of orphanUploads) orphans.set(id, orphans.get(id) ?? `${hit}`);
    if (hit === undefined) break;
    hits.push(hit);
    await scenario.prepare?.((step) => send(url, step));
    await run(scenario);
  }
  t.diagnostic(`${hits.length} calls failed, one at a time`);
  assert.ok(hits.length > 0 && hits.length < maxCalls - 1, `${hits.length} calls failed`);
  // Only an interrupted end of a session leaves a file, which garbage collection deletes.
  const unexpected = [...orphans.values()].filter((hit) => !/^(abort|unlink|transaction)$/.test(hit));
  assert.deepEqual(unexpected, []);
  await descriptorsBackTo(descriptors, data);
}
