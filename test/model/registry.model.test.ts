import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createOrganisation } from '../../src/administration/organisations.ts';
import { examine } from '../faults/consistency.ts';
import { RestartableRegistry } from '../faults/restartable.ts';
import { replayChanges, takeSnapshot } from '../support/replay-changes.ts';
import { administrationCommands } from './administration-commands.ts';
import { adoptedImages, adoptTree, modelOf } from './adoption.ts';
import { blobCommands } from './blob-commands.ts';
import { namespaces } from './content.ts';
import { manifestCommands } from './manifest-commands.ts';
import { counts } from './model.ts';
import { registryCommands } from './registry-commands.ts';
import { uploadCommands } from './upload-commands.ts';

/** BERTH_MODEL_SECONDS=3600 makes it a soak test; BERTH_MODEL_SEED repeats a run by its printed seed. */
const seconds = Number(process.env.BERTH_MODEL_SECONDS ?? 15);
const seed = process.env.BERTH_MODEL_SEED;

const commands = [
  ...blobCommands,
  ...uploadCommands,
  ...manifestCommands,
  ...registryCommands,
  ...administrationCommands,
];
/** Pushes are more frequent; otherwise there would be little to list and to delete. */
const [pushBlob] = blobCommands;
const [putManifest] = manifestCommands;
const mixed = [...commands, ...Array(3).fill(pushBlob), ...Array(5).fill(putManifest)] as typeof commands;

test('the registry answers like its model for any sequence of requests and restarts', async (t) => {
  let runs = 0;
  const property = fc.asyncProperty(
    adoptedImages,
    fc.commands(mixed, { size: 'max', maxCommands: 100 }),
    async (adopted, sequence) => {
      await using registry = await RestartableRegistry.open(t, {}, (data) => adoptTree(data, adopted));
      const from = await takeSnapshot(registry.data);
      for (const name of namespaces) await createOrganisation(registry.administration, { name });
      await fc.asyncModelRun(() => ({ model: modelOf(adopted), real: registry }), sequence);
      assert.deepEqual(examine(registry.data).problems, []);
      await replayChanges(registry.data, { collected: true, from });
      runs += 1;
    },
  );
  await fc.assert(property, {
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: seconds * 1_000,
    markInterruptAsFailure: false,
    ...(seed !== undefined && { seed: Number(seed) }),
  });
  const ran = [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
  t.diagnostic(`${runs} sequences: ${ran}`);
  assert.ok(runs >= 3);
  // A command that never ran has tested nothing.
  assert.equal(counts.size, commands.length, ran);
});
