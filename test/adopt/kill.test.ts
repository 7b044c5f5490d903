// An adoption is killed at any point and run again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { berth } from '../support/berth.ts';
import { cleanUp } from '../support/cleanup.ts';
import { DistributionTree } from '../support/distribution-tree.ts';
import { fileStates } from '../support/file-states.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

const queries = {
  blobs: 'select digest, size, generation, state, parked_at is null as held from blobs order by 1',
  links: 'select name, digest from repository_blobs join repositories on id = repository_id order by 1, 2',
  manifests: 'select name, digest from manifests join repositories r on r.id = repository_id order by 1, 2',
  tags: 'select r.name, t.name as tag, digest from tags t join manifests m on m.id = manifest_id join repositories r on r.id = t.repository_id order by 1, 2',
} as const;

/** The rows of a query; empty while there is no schema. */
function rowsOf(data: string, query: string): Record<string, unknown>[] {
  if (!existsSync(join(data, 'berth.db'))) return [];
  const database = new DatabaseSync(join(data, 'berth.db'), { timeout: 5_000 });
  try {
    return database.prepare(query).all();
  } catch {
    return [];
  } finally {
    database.close();
  }
}

const stateOf = (data: string) => Object.values(queries).map((query) => rowsOf(data, query));

/** Whether the table has as many rows. Reads no more of them, because it is asked often while the adoption runs. */
const hasRows = (data: string, table: string, rows: number) =>
  rowsOf(data, `select 1 from ${table} limit 1 offset ${rows - 1}`).length > 0;

test('an adoption that is killed at several points ends in the same state as a whole one', async (t) => {
  const data = await temporaryDirectory(t);
  const tree = new DistributionTree(data);
  for (let i = 0; i < 12; i++) {
    for (let j = 0; j < 60; j++) await tree.image(`team/app-${i}`, `${i % 6} ${j}`, `v${j}`);
  }
  const files = await fileStates(data);
  const whole = async () => {
    assert.equal((await berth('adopt', '--data', data)).exitCode, 0);
    return stateOf(data);
  };
  const expected = await whole();
  assert.equal(expected[3]?.length, 720);
  for (const name of ['berth.db', 'berth.db-wal', 'berth.db-shm', 'berth-store.json']) {
    await rm(join(data, name), { force: true });
  }

  const points: [table: string, rows: number][] = [
    ['blobs', 1],
    ['repository_blobs', 1],
    ['manifests', 200],
    ['tags', 400],
  ];
  let killed = 0;
  for (const [table, rows] of points) {
    const child = spawn(process.execPath, [main, 'adopt', '--data', data], { env: {}, stdio: 'ignore' });
    cleanUp(t, () => child.kill('SIGKILL'));
    const ended = once(child, 'close');
    while (child.exitCode === null && !hasRows(data, table, rows)) await delay(5);
    child.kill('SIGKILL');
    const [code] = await ended;
    if (code === null) killed += 1;
  }
  assert.ok(killed >= 2, `only ${killed} runs were killed`);
  assert.deepEqual(await whole(), expected);
  const after = await fileStates(data);
  assert.deepEqual(new Map([...after].filter(([path]) => files.has(path))), files);
});
