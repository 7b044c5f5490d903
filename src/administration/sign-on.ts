// People whom the sign-on provider vouches for: which account is theirs, and what their groups make of it.

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
import { addAccount, nearestName, parseNewName, startAnew } from './accounts.ts';
import { differences, type Recorder, recorderIn } from './change.ts';
import { parseMail, shellWord } from './text.ts';
import type { UserChanges } from './users.ts';

/** What a provider says of somebody; claims as it sent them. */
export interface Person {
  readonly issuer: string;
  readonly subject: string;
  readonly username: unknown;
  readonly mail: unknown;
  readonly groups: unknown;
}

/** The name that the provider gives somebody is another's here. The message says what they can do. */
export class NameTaken extends Refused {}

export interface SignedOn {
  readonly account: number;
  readonly name: Namespace;
  /** The id of what the provider vouches for; what begins with it ends when it is unlinked. */
  readonly identity: number;
  /** The only administrator has left the administrators' group, and is one still: somebody has to be. */
  readonly keptAdministrator: boolean;
}

export interface SignOnOptions {
  /** Whose members are administrators; absent: sign-on changes nothing about that. */
  readonly administratorsGroup?: string | undefined;
  /** Whether users may sign in with their password, to link this identity to an account that they have. */
  readonly passwordLogin?: boolean;
}

/**
 * The user who signs on, made when it is their first time; who is in which group is as the provider says now, and no more.
 *
 * @throws Refused with what to tell the person
 */
export async function signOn(
  database: Database,
  person: Person,
  request: RequestOrigin,
  { administratorsGroup, passwordLogin = false }: SignOnOptions = {},
): Promise<SignedOn> {
  if (!isStorable(person.issuer) || !isStorable(person.subject)) {
    throw new Refused(
      'the sign-on provider knows you by a text that cannot be stored here; ask an administrator',
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

/** An account that somebody else has is never given to whoever the provider calls the same. */
async function addUser(
  db: Db,
  { issuer, subject, username }: Pick<Person, 'issuer' | 'subject' | 'username'>,
  passwordLogin: boolean,
  now: number,
): Promise<{ id: number; account: number }> {
  const given = nameOf(username);
  if (given === undefined) {
    throw new Refused(
      'the sign-on provider gives you no name that an account can have; ask an administrator',
    );
  }
  const name = parseNewName(given);
  const other = await findAccount(db, name);
  if (other !== undefined) throw nameTaken(other, { issuer, subject }, passwordLogin);
  // What is there belongs to the administrators so far, and would be the new user's.
  if (await holdsManifests(db, name)) {
    throw new Refused(
      `${name} cannot be your account: there are repositories of that name; ask an administrator`,
    );
  }
  await startAnew(db, name, now);
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
      ? `${name} is taken: there is a user of that name. If that is you, ${passwordLogin ? byThemselves : ''}` +
          `ask an administrator of this registry to link it: berth user link ${name} ${flags}`
      : `${name} is taken: there is an ${kind} of that name. Ask an administrator of this registry for a user of another name: ` +
          `berth user create NAME --no-password, and berth user link NAME ${flags}`,
  );
}

/** The nearest to it that an account can have; `undefined` when there is none. */
function nameOf(username: unknown): Namespace | undefined {
  return typeof username === 'string' ? nearestName(username) : undefined;
}

function groupsOf(claim: unknown): readonly string[] {
  const groups = Array.isArray(claim) ? claim : [claim];
  return groups.filter((group) => typeof group === 'string' && isStorable(group));
}

/** One that is none is not worth refusing somebody for. */
function mailOf(claim: unknown): string | undefined {
  try {
    return typeof claim === 'string' ? parseMail(claim) : undefined;
  } catch {
    return undefined;
  }
}

/** Puts the user into the teams of their groups, and takes them out of those of groups that they have left. */
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
