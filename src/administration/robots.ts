import { Refused } from '../access/refused.ts';
import { type Account, deleteAccount, setDisabled } from '../db/accounts.ts';
import type { Db } from '../db/prepare.ts';
import { quote } from '../oci/digest.ts';
import { asRobotName } from '../oci/name.ts';
import { accountNamed, addAccount } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';
import { showTime } from './show-time.ts';

/** Gives the new robot's id; `acme+deploy` belongs to `acme`. @throws Refused */
export async function createRobot(database: ActingDatabase, text: string): Promise<number> {
  const robot = asRobotName(text);
  if (robot === undefined) {
    throw new Refused(
      `${quote(text)} is not a valid robot name: it needs the name of its user or organisation, a plus and a name of its own, such as acme+deploy`,
    );
  }
  return change(database, async (db, record) => {
    const owner = await accountNamed(db, robot.namespace, 'organisation', 'user');
    const account = { name: robot.name, kind: 'robot', ownerId: owner.id } as const;
    const id = await addAccount(db, account, database.clock());
    await record('robot.create', { robot: robot.name });
    return id;
  });
}

/** Changes only the fields given. @throws Refused */
export async function changeRobot(
  database: ActingDatabase,
  name: string,
  { disabled }: { readonly disabled?: boolean },
): Promise<void> {
  await change(database, async (db, record) => {
    const { id, disabledAt } = await accountNamed(db, name, 'robot');
    if (disabled === undefined || disabled === (disabledAt !== null)) return;
    await setDisabled(db, id, disabled ? database.clock() : null);
    await record('robot.update', { robot: name, disabled });
  });
}

/** @throws Refused */
export async function deleteRobot(database: ActingDatabase, name: string): Promise<void> {
  await change(database, async (db, record) => {
    await deleteAccount(db, await accountNamed(db, name, 'robot'));
    await record('robot.delete', { robot: name });
  });
}

/** A robot in a listing. */
export interface RobotSummary extends Pick<Account, 'name'> {
  readonly disabled: boolean;
  readonly createdAt: string;
}

export function robotSummary({ name, disabledAt, createdAt }: Account): RobotSummary {
  return { name, disabled: disabledAt !== null, createdAt: showTime(createdAt) };
}

/** @throws Refused if there is no such robot */
export async function readRobot(db: Db, text: string): Promise<RobotSummary> {
  return robotSummary(await accountNamed(db, text, 'robot'));
}
