// Finds or creates the account of a person whom the sign-on provider authenticated, and puts it into the teams of the provider's
// groups.

import { actorOf, type RequestOrigin } from '../access/actor.ts';
import { signedOnIdentity } from '../access/identity.ts';
import { Refused } from '../access/refused.ts';
import { type Account, findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { findIdentity, findTeamsOfGroups, insertIdentity, renameIdentity } from '../db/identities.ts';
import { lockAccounts } from '../db/locks.ts';
import { findMemberRole, setMember } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import { holdsManifests } from '../db/repositories.ts';
import { isStorable } from '../db/storable.ts';
import { addTeamMember, listTeamsOf, removeTeamMember } from '../db/team-members.ts';
import { countEnabledAdministrators, findUserById, insertUser, type User, updateUser } from '../db/users.ts';
import type { Namespace } from '../oci/name.ts';
import { addAccount, clearNamespace, nearestName, parseNewName } from './accounts.ts';
import { differences, type Recorder, recorderIn } from './change.ts';
import { parseMail, shellWord } from './text.ts';
import type { UserChanges } from './users.ts';

/** A person as the provider describes it; claims as sent. */
export interface Person {
  readonly issuer: string;
  readonly subject: string;
  readonly username: unknown;
  readonly mail: unknown;
  readonly groups: unknown;
}

/** Another account has the person's name. The message gives the remedy. */
export class NameTaken extends Refused {}

export interface SignedOn {
  readonly account: number;
  readonly name: Namespace;
  /** Id of the provider's identity; sessions that it began end when it is unlinked. */
  readonly identity: number;
  /** The user left the administrators' group, but stays administrator, because the registry has no other. */
  readonly keptAdministrator: boolean;
}

export interface SignOnOptions {
  /** The group whose members are administrators; absent: sign-on does not change administrators. */
  readonly administratorsGroup?: string | undefined;
  /** Whether users can log in with a password, to link this identity to an existing account. */
  readonly passwordLogin?: boolean;
}

/**
 * Signs a person on. Creates the user at the first sign-on. Makes the user's teams match the provider's current groups.
 * @throws Refused with a message for the person
 */
export async function signOn(
  database: Database,
  person: Person,
  request: RequestOrigin,
  { administratorsGroup, passwordLogin = false }: SignOnOptions = {},
): Promise<SignedOn> {
  if (!isStorable(person.issuer) || !isStorable(person.subject)) {
    throw new Refused(
      'your identity at the sign-on provider contains a character that cannot be stored, such as NUL; ask an administrator',
    );
  }
  const groups = groupsOf(person.groups);
  const mail = mailOf(person.mail);
  return database.transaction(async (db) => {
    await lockAccounts(db);
    const { user, identity, isNew } = await userOf(db, person, passwordLogin, database.clock());
    const { id, name: userName } = user;
    const by = actorOf(signedOnIdentity(id, userName), request);
    const record = recorderIn(db, { by, clock: database.clock });
    if (isNew) {
      const { issuer, subject } = person;
      await record('user.create', { user: userName, issuer, subject });
    }
    await joinTeams(db, user, groups, record);
    const wanted =
      administratorsGroup === undefined ? user.administrator : groups.includes(administratorsGroup);
    const keptAdministrator = user.administrator && !wanted && (await countEnabledAdministrators(db)) === 1;
    const administrator = wanted || keptAdministrator;
    const changed: UserChanges = differences(user, { ...(mail !== undefined && { mail }), administrator });
    await updateUser(db, id, changed);
    if (Object.keys(changed).length > 0) await record('user.update', { user: userName, ...changed });
    return { account: user.id, name: user.name, identity, keptAdministrator };
  });
}

async function userOf(
  db: Db,
  { issuer, subject, username }: Person,
  passwordLogin: boolean,
  now: number,
): Promise<{ user: User; identity: number; isNew: boolean }> {
  const known = await findIdentity(db, issuer, subject);
  const { id, account } = known ?? (await addUser(db, { issuer, subject, username }, passwordLogin, now));
  await renameIdentity(db, id, nameOf(username) ?? null);
  const user = (await findUserById(db, account)) as User;
  if (user.disabledAt !== null) {
    throw new Refused(`the account ${user.name} is disabled: ask an administrator of this registry`);
  }
  return { user, identity: id, isNew: known === undefined };
}

/** An existing account is never given to a person of the same name. */
async function addUser(
  db: Db,
  { issuer, subject, username }: Pick<Person, 'issuer' | 'subject' | 'username'>,
  passwordLogin: boolean,
  now: number,
): Promise<{ id: number; account: number }> {
  const given = nameOf(username);
  if (given === undefined) {
    throw new Refused(
      'the sign-on provider gives no user name that is valid for an account; ask an administrator',
    );
  }
  const name = parseNewName(given);
  const other = await findAccount(db, name);
  if (other !== undefined) throw nameTaken(other, { issuer, subject }, passwordLogin);
  // Existing content belongs to the administrators, and would become the new user's.
  if (await holdsManifests(db, name)) {
    throw new Refused(
      `${name} cannot be your account, because repositories with that name exist; ask an administrator`,
    );
  }
  await clearNamespace(db, name, now);
  const account = await addAccount(db, { name, kind: 'user' }, now);
  await insertUser(db, account, { mail: null, password: null, administrator: false, tokenOnly: false }, now);
  return { id: await insertIdentity(db, issuer, subject, account), account };
}

function nameTaken(
  { name, kind }: Account,
  { issuer, subject }: Pick<Person, 'issuer' | 'subject'>,
  passwordLogin: boolean,
): NameTaken {
  const flags = `--issuer ${shellWord(issuer)} --subject ${shellWord(subject)}`;
  const byThemselves = 'sign in with your password and link single sign-on on the account page, or ';
  return new NameTaken(
    kind === 'user'
      ? `${name} is taken: a user has that name. If that is you, ${passwordLogin ? byThemselves : ''}` +
          `ask an administrator of this registry to link it: berth user link ${name} ${flags}`
      : `${name} is taken: an ${kind} has that name. Ask an administrator of this registry for a user with another name: ` +
          `berth user create NAME --no-password, and berth user link NAME ${flags}`,
  );
}

/** The nearest valid account name; `undefined` if there is none. */
function nameOf(username: unknown): Namespace | undefined {
  return typeof username === 'string' ? nearestName(username) : undefined;
}

function groupsOf(claim: unknown): readonly string[] {
  const groups = Array.isArray(claim) ? claim : [claim];
  return groups.filter((group) => typeof group === 'string' && isStorable(group));
}

/** An invalid mail address is ignored, and does not stop the sign-on. */
function mailOf(claim: unknown): string | undefined {
  try {
    return typeof claim === 'string' ? parseMail(claim) : undefined;
  } catch {
    return undefined;
  }
}

/** Adds the user to the teams of their groups, and removes them from the teams of groups that they have left. */
async function joinTeams(db: Db, user: User, groups: readonly string[], record: Recorder): Promise<void> {
  const before = (await listTeamsOf(db, user.id)).filter(({ source }) => source === 'sso');
  const now = await findTeamsOfGroups(db, groups);
  for (const { id, organisation, name } of before) {
    if (now.some((team) => team.id === id)) continue;
    await removeTeamMember(db, id, user.id, 'sso');
    await record('team.member.remove', { team: `${organisation}/${name}`, user: user.name, source: 'sso' });
  }
  for (const { id, organisationId, organisation, name } of now) {
    if ((await findMemberRole(db, organisationId, user.id)) === undefined) {
      await setMember(db, organisationId, user.id, 'none');
      await record('member.set', { organisation, user: user.name, role: 'none' });
    }
    if (await addTeamMember(db, id, user.id, 'sso')) {
      await record('team.member.add', { team: `${organisation}/${name}`, user: user.name, source: 'sso' });
    }
  }
}
