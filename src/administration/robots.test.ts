import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import { refused } from '../../test/support/refused.ts';
import { findAccount } from '../db/accounts.ts';
import type { AccountName } from '../oci/name.ts';
import { changeRobot, createRobot, deleteRobot } from './robots.ts';

for (const { name, open } of dialects) {
  test(`${name}: a robot belongs to the user or organisation in its name`, async (t) => {
    const database = await open(t);
    const owners = [await makeOrganisation(database, 'acme'), await makeUser(database, 'alice')];
    for (const [index, robot] of ['acme+ci', 'alice+ci'].entries()) {
      const id = await createRobot(database, robot);
      const account = await findAccount(database.read, robot as AccountName);
      assert.deepEqual([account?.id, account?.kind, account?.ownerId], [id, 'robot', owners[index]]);
    }
    for (const [robot, message] of [
      ['acme+ci', 'acme+ci is taken: a robot has that name'],
      ['acme', /^"acme" is not a valid robot name: .*, such as acme\+deploy$/],
      ['acme+ci+x', /^"acme\+ci\+x" is not a valid robot name/],
      ['nobody+ci', 'there is no organisation or user nobody'],
    ] as const) {
      await assert.rejects(createRobot(database, robot), refused(message));
    }
  });

  test(`${name}: disabling, enabling and deleting a robot does not change its owner`, async (t) => {
    const database = await open(t);
    await makeOrganisation(database, 'acme');
    await createRobot(database, 'acme+ci');
    const disabledAt = async (account: string) =>
      (await findAccount(database.read, account as AccountName))?.disabledAt;
    await changeRobot(database, 'acme+ci', { disabled: true });
    assert.notEqual(await disabledAt('acme+ci'), null);
    assert.equal(await disabledAt('acme'), null);
    await changeRobot(database, 'acme+ci', { disabled: false });
    assert.equal(await disabledAt('acme+ci'), null);
    await deleteRobot(database, 'acme+ci');
    assert.equal(await disabledAt('acme+ci'), undefined);
    for (const attempt of [
      (robot: string) => changeRobot(database, robot, {}),
      (robot: string) => deleteRobot(database, robot),
    ]) {
      await assert.rejects(attempt('acme+ci'), refused('there is no robot acme+ci'));
      await assert.rejects(attempt('acme'), refused('acme is an organisation, not a robot'));
    }
    assert.equal(await disabledAt('acme'), null);
  });
}
