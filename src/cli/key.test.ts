import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { berth, makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

async function setUp(t: TestContext) {
  const data = await temporaryDirectory(t);
  await makeRegistry(data);
  return async (...args: string[]) => {
    const { exitCode, out, err } = await berth('key', ...args, '--data', data);
    assert.deepEqual([exitCode, err], [0, '']);
    return out;
  };
}

test('keys are created on demand, retired by rotation, and deleted', async (t) => {
  const key = await setUp(t);
  assert.deepEqual(JSON.parse(await key('list', '--json')), []);
  const first = JSON.parse(await key('rotate', '--json'));
  assert.deepEqual(first, { id: first.id, removed: [], verifying: [] });
  const second = JSON.parse(await key('rotate', '--json'));
  assert.deepEqual(second, { id: second.id, removed: [], verifying: [first.id] });

  const listed = JSON.parse(await key('list', '--json'));
  const byId = Object.fromEntries(listed.map((one: { id: string }) => [one.id, one]));
  assert.equal(byId[second.id].retiredAt, null);
  assert.match(byId[first.id].retiredAt, /^\d{4}-.*Z$/);
  assert.match(await key('list'), /^ID +CREATED +USE\n(.*\n){2}$/);

  const third = await key('rotate', '--revoke');
  assert.match(third, /^\S+ signs from now on\n(removed \S+\n){2}$/);
  assert.ok(third.includes(first.id) && third.includes(second.id));
  assert.equal(JSON.parse(await key('list', '--json')).length, 1);
});

test('no command prints key material', async (t) => {
  const key = await setUp(t);
  const outputs = [
    await key('rotate'),
    await key('rotate', '--json'),
    await key('list'),
    await key('list', '--json'),
  ];
  for (const output of outputs) assert.doesNotMatch(output, /PRIVATE|MIG/);
});
