import { Refused } from '../access/refused.ts';
import { deleteAccount, setDisabled } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { quote } from '../oci/digest.ts';
import { asRobotName } from '../oci/name.ts';
import { accountNamed, addAccount } from './accounts.ts';
import { change } from './change.ts';

/** The new robot's id; `acme+deploy` works for `acme`. @throws Refused */
export async function createRobot(database: Database, text: string): Promise<number> {
  const robot = asRobotName(text);
  if (robot === undefined) {
    throw new Refused(
      `${quote(text)} cannot be a robot: its name is that of the user or organisation it works for, a plus and its own, such as acme+deploy`,
    );
  }
  return change(database, async (db) => {
    const owner = await accountNamed(db, robot.namespace, 'organisation', 'user');
    return addAccount(db, { name: robot.name, kind: 'robot', ownerId: owner.id }, database.clock());
  });
}

/** What is left out stays as it is. @throws Refused */
export async function changeRobot(
  database: Database,
  name: string,
  { disabled }: { readonly disabled?: boolean },
): Promise<void> {
  await change(database, async (db) => {
    const { id } = await accountNamed(db, name, 'robot');
    if (disabled !== undefined) await setDisabled(db, id, disabled ? database.clock() : null);
  });
}

/** @throws Refused */
export async function deleteRobot(database: Database, name: string): Promise<void> {
  await change(database, async (db) => deleteAccount(db, await accountNamed(db, name, 'robot')));
}
