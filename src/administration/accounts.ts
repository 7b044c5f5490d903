// Names and deletion of accounts of every kind.

import { Refused } from '../access/refused.ts';
import { reserved } from '../access/reserved.ts';
import { deleteEmptyRepositories } from '../core/delete-repository.ts';
import { type Account, deleteAccount, findAccount, insertAccount } from '../db/accounts.ts';
import { deleteGrantsBelow } from '../db/grants.ts';
import type { Db } from '../db/prepare.ts';
import { repositoriesInUse } from '../db/repositories.ts';
import { deleteAliasesBelow } from '../db/repository-aliases.ts';
import type { AccountKind } from '../db/schema.ts';
import { quote } from '../oci/digest.ts';
import { printName } from '../oci/hidden-name.ts';
import { asAccountName, asNamespace, type Namespace } from '../oci/name.ts';

/** The name of a new user or organisation. @throws Refused */
export function parseNewName(text: string): Namespace {
  const name = asNamespace(text);
  if (name === undefined) throw new Refused(`${quote(text)} is not a valid name: ${nameRule}`);
  if (name === reserved) throw new Refused(`${name} is reserved for administrators and cannot be an account`);
  return name;
}

export const nameRule =
  "a name has lowercase letters and digits, separated by '.', '_', '__' or '-', and at most 128 characters";

const maxWritten = 128;

/** The valid account name nearest to a foreign name: `Jane.Doe@example.com` → `jane.doe`. */
export function nearestName(text: string): Namespace | undefined {
  const [own = ''] = text.slice(0, maxWritten).toLowerCase().split('@', 1);
  const name = own
    .replaceAll(/[^a-z0-9._]+/g, '-')
    // Only one separator in a row, and none at the ends.
    .replaceAll(/([._-])[._-]*/g, '$1')
    .replace(/^[._-]/, '')
    .replace(/[._-]$/, '');
  return asNamespace(name);
}

/** Gives the new account's id. @throws Refused if the name is taken */
export async function addAccount(
  db: Db,
  account: Parameters<typeof insertAccount>[1],
  now: number,
): Promise<number> {
  const id = await insertAccount(db, account, now);
  if (id !== undefined) return id;
  const other = await findAccount(db, account.name);
  throw new Refused(`${account.name} is taken: ${kinds[other?.kind ?? account.kind]} has that name`);
}

const kinds: Readonly<Record<AccountKind, string>> = {
  user: 'a user',
  organisation: 'an organisation',
  robot: 'a robot',
};

/** @throws Refused if there is no such account */
export async function accountNamed(db: Db, text: string, ...wanted: AccountKind[]): Promise<Account> {
  const name = asAccountName(text);
  const account = name && (await findAccount(db, name));
  if (account === undefined) {
    throw new Refused(`there is no ${wanted.join(' or ')} ${name ?? quote(text)}`);
  }
  if (!wanted.includes(account.kind)) {
    throw new Refused(`${account.name} is ${kinds[account.kind]}, not ${kinds[wanted[0] as AccountKind]}`);
  }
  return account;
}

/**
 * Runs before a user who is no administrator gets a free namespace: removes its empty repositories, and all aliases and
 * grants in it, so that the new owner inherits nothing.
 */
export async function clearNamespace(db: Db, namespace: Namespace, now: number): Promise<void> {
  await deleteEmptyRepositories(db, namespace, now);
  await deleteAliasesBelow(db, namespace);
  await deleteGrantsBelow(db, namespace);
}

/** Maximum of repositories listed in a message. */
const maxListed = 3;

/** Deletes a namespace's account and everything that it owns. @throws Refused while it has repositories */
export async function deleteNamespace(db: Db, account: Account, now: number): Promise<void> {
  const name = account.name as Namespace;
  await deleteEmptyRepositories(db, name, now);
  const { count, names } = await repositoriesInUse(db, name, maxListed);
  if (count > 0) {
    const more = count > names.length ? `, … (${count} in all)` : '';
    const shown = names.map((each) => printName(each));
    const trash = shown.join() === names.join() ? '' : `; berth trash empty ${name}`;
    throw new Refused(
      `${name} cannot be deleted while it has repositories: ${shown.join(', ')}${more}; delete them first ` +
        `(berth repo delete NAME${trash}), or disable ${name} instead`,
    );
  }
  await deleteAccount(db, account);
}
