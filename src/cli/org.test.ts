import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { berth, type Ended, makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

/** `berth` with its own registry and the users alice and bob. */
async function registry(t: TestContext) {
  const data = await temporaryDirectory(t);
  await makeRegistry(data);
  const here = (...args: string[]) => berth(...args, '--data', data);
  for (const user of ['alice', 'bob']) await here('user', 'create', user, '--no-password');
  return here;
}

function jsonOf({ exitCode, out, err }: Ended) {
  assert.deepEqual([exitCode, err], [0, '']);
  return JSON.parse(out);
}

const done = (out: string): Ended => ({ exitCode: 0, out, err: '' });
const refused = (message: string): Ended => ({ exitCode: 1, out: '', err: `berth: ${message}\n` });

test('an organisation is created, changed, shown and deleted', async (t) => {
  const berth = await registry(t);
  assert.deepEqual(
    await berth('org', 'create', 'acme', '--admin', 'alice', '--default-visibility', 'public'),
    done('created the organisation acme\n'),
  );
  await berth('team', 'create', 'acme/dev');
  await berth('robot', 'create', 'acme+ci');
  assert.deepEqual(
    await berth('org', 'set', 'acme', '--default-visibility', 'private', '--disabled'),
    done('changed the organisation acme\n'),
  );
  const { createdAt, ...acme } = jsonOf(await berth('org', 'show', 'acme', '--json'));
  assert.deepEqual(acme, {
    name: 'acme',
    defaultVisibility: 'private',
    disabled: true,
    members: [{ name: 'alice', role: 'admin' }],
    teams: ['acme/dev'],
    robots: ['acme+ci'],
  });
  assert.equal(
    (await berth('org', 'show', 'acme')).out,
    `name              acme
new repositories  private
disabled          yes
created           ${createdAt}
members           alice (admin)
teams             acme/dev
robots            acme+ci
`,
  );
  assert.equal(
    (await berth('org', 'list')).out,
    `NAME  NEW REPOSITORIES  DISABLED  CREATED
acme  private           yes       ${createdAt}
`,
  );
  assert.deepEqual(await berth('org', 'delete', 'acme'), done('deleted the organisation acme\n'));
  assert.deepEqual(jsonOf(await berth('org', 'list', '--json')), []);
  assert.deepEqual(jsonOf(await berth('robot', 'list', '--json')), []);
});

test('members have the role read unless another is given', async (t) => {
  const berth = await registry(t);
  await berth('org', 'create', 'acme');
  assert.deepEqual(
    await berth('org', 'member', 'add', 'acme', 'bob'),
    done('bob is a member of acme with the role read\n'),
  );
  await berth('org', 'member', 'add', 'acme', 'alice', '--role', 'none');
  await berth('org', 'member', 'add', 'acme', 'bob', '--role', 'maintain');
  assert.deepEqual(
    await berth('org', 'member', 'list', 'acme'),
    done('NAME   ROLE\nalice  none\nbob    maintain\n'),
  );
  assert.deepEqual(jsonOf(await berth('user', 'show', 'bob', '--json')).organisations, [
    { name: 'acme', role: 'maintain' },
  ]);
  assert.deepEqual(await berth('org', 'member', 'remove', 'acme', 'bob'), done('removed bob from acme\n'));
  assert.deepEqual(jsonOf(await berth('org', 'member', 'list', 'acme', '--json')), [
    { name: 'alice', role: 'none' },
  ]);
  const { exitCode, err } = await berth('org', 'member', 'add', 'acme', 'bob', '--role', 'owner');
  assert.equal(exitCode, 2);
  assert.match(err, /choices are none, read, write, maintain, admin/);
});

test('a team is created, filled, changed, shown and deleted', async (t) => {
  const berth = await registry(t);
  await berth('org', 'create', 'acme', '--admin', 'alice');
  assert.deepEqual(
    await berth('team', 'create', 'acme/dev', '--group', 'Developers'),
    done('created the team acme/dev\n'),
  );
  assert.deepEqual(await berth('team', 'member', 'add', 'acme/dev', 'alice'), done('alice is in acme/dev\n'));
  assert.deepEqual(
    await berth('team', 'member', 'add', 'acme/dev', 'bob'),
    refused(
      'bob is not a member of acme, and only members can be in its teams: add bob first (berth org member add acme bob)',
    ),
  );
  assert.equal(
    (await berth('team', 'show', 'acme/dev')).out,
    'name     acme/dev\ngroup    Developers\nmembers  alice (local)\n',
  );
  assert.deepEqual(jsonOf(await berth('user', 'show', 'alice', '--json')).teams, [
    { name: 'acme/dev', source: 'local' },
  ]);
  assert.deepEqual(await berth('team', 'list', 'acme'), done('TEAM      GROUP\nacme/dev  Developers\n'));
  assert.deepEqual(await berth('team', 'set', 'acme/dev', '--no-group'), done('changed the team acme/dev\n'));
  assert.deepEqual(
    await berth('team', 'member', 'remove', 'acme/dev', 'alice'),
    done('removed alice from acme/dev\n'),
  );
  assert.deepEqual(jsonOf(await berth('team', 'show', 'acme/dev', '--json')), {
    name: 'acme/dev',
    group: null,
    members: [],
  });
  assert.deepEqual(await berth('team', 'delete', 'acme/dev'), done('deleted the team acme/dev\n'));
  assert.deepEqual(jsonOf(await berth('team', 'list', 'acme', '--json')), []);
});

test('robots are listed in total or by namespace', async (t) => {
  const berth = await registry(t);
  await berth('org', 'create', 'acme');
  assert.deepEqual(await berth('robot', 'create', 'acme+ci'), done('created the robot acme+ci\n'));
  const { createdAt } = jsonOf(await berth('robot', 'create', 'alice+ci', '--json'));
  assert.deepEqual(
    await berth('robot', 'set', 'alice+ci', '--disabled'),
    done('changed the robot alice+ci\n'),
  );
  const names = async (...namespace: string[]) =>
    jsonOf(await berth('robot', 'list', ...namespace, '--json')).map((robot: { name: string }) => robot.name);
  assert.deepEqual(await names(), ['acme+ci', 'alice+ci']);
  assert.deepEqual(await names('acme'), ['acme+ci']);
  assert.deepEqual(
    await berth('robot', 'list', 'alice'),
    done(`NAME      DISABLED  CREATED\nalice+ci  yes       ${createdAt}\n`),
  );
  assert.deepEqual(jsonOf(await berth('robot', 'set', 'alice+ci', '--enabled', '--json')), {
    name: 'alice+ci',
    disabled: false,
    createdAt,
  });
  assert.deepEqual(await berth('robot', 'delete', 'acme+ci'), done('deleted the robot acme+ci\n'));
  assert.deepEqual(
    await berth('robot', 'list', 'nobody'),
    refused('there is no organisation or user nobody'),
  );
});

for (const args of [
  ['org', 'set', 'acme'],
  ['team', 'set', 'acme/dev'],
  ['robot', 'set', 'acme+ci'],
]) {
  test(`berth ${args.join(' ')} without changes exits with code 2`, async () => {
    const { exitCode, out, err } = await berth(...args);
    assert.deepEqual([exitCode, out], [2, '']);
    assert.match(err, /^error: nothing to change: give an option/);
  });
}
