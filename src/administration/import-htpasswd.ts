// Imports users with their password hashes from an htpasswd file.

import { Refused } from '../access/refused.ts';
import { reserved } from '../access/reserved.ts';
import { insertAccount } from '../db/accounts.ts';
import { findUser, insertUser } from '../db/users.ts';
import { quote } from '../oci/digest.ts';
import type { Namespace } from '../oci/name.ts';
import { nearestName, parseNewName } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';
import { parseHtpasswd, whyUnsupported } from './htpasswd.ts';
import { shellWord } from './text.ts';

export interface ImportOptions {
  /** Names of users to make administrators. */
  readonly administrators?: readonly string[];
  /** Skip lines that cannot be imported. If not, one such line stops the whole import. */
  readonly skipUnsupported?: boolean;
  /** Name in the file → name of the user. */
  readonly renames?: ReadonlyMap<string, string>;
}

export interface Skipped {
  readonly line: number;
  /** The problem of the line. */
  readonly reason: string;
}

export interface Imported {
  readonly imported: readonly string[];
  /** Users that exist already; they were not changed. */
  readonly existing: readonly string[];
  readonly skipped: readonly Skipped[];
}

interface Wanted {
  readonly users: ReadonlyMap<Namespace, string>;
  readonly skipped: readonly Skipped[];
  /** Whether a skipped line has a hash that cannot be imported. */
  readonly badHashes: boolean;
  /** Old name → new name, as a suggestion for `renames`. */
  readonly suggestions: ReadonlyMap<string, Namespace>;
}

/** Imports all or nothing. @throws Refused: each line that cannot be imported, and the remedy */
export async function importHtpasswd(
  database: ActingDatabase,
  text: string,
  { administrators = [], skipUnsupported = false, renames = new Map() }: ImportOptions = {},
): Promise<Imported> {
  const wanted = read(text, renames);
  const { users, skipped } = wanted;
  if (skipped.length > 0 && !skipUnsupported) throw refusal(wanted);
  for (const name of administrators) {
    if (!users.has(name as Namespace)) {
      throw new Refused(
        `${quote(name)} cannot be made an administrator: the file has no such user to import`,
      );
    }
  }
  const now = database.clock();
  return change(database, async (db, record) => {
    const imported: string[] = [];
    const existing: string[] = [];
    for (const [name, password] of users) {
      const id = await insertAccount(db, { name, kind: 'user' }, now);
      const administrator = administrators.includes(name);
      if (id !== undefined) {
        await insertUser(db, id, { mail: null, password, administrator, tokenOnly: false }, now);
        imported.push(name);
      } else if (administrator && !(await findUser(db, name))?.administrator) {
        throw new Refused(
          `${name} already exists, and an import changes no users: use berth user set ${name} --admin`,
        );
      } else {
        existing.push(name);
      }
    }
    if (imported.length > 0) {
      await record('user.import', {
        users: imported,
        ...(administrators.length > 0 && { administrators }),
        ...(renames.size > 0 && { renamed: Object.fromEntries(renames) }),
      });
    }
    return { imported, existing, skipped };
  });
}

/** @throws Refused if a name to rename is not in the file */
function read(text: string, renames: ReadonlyMap<string, string>): Wanted {
  const { entries, invalidLines } = parseHtpasswd(text);
  for (const old of renames.keys()) {
    if (!entries.some(({ name }) => name === old)) {
      throw new Refused(`${quote(old)} cannot be renamed: the file has no such user`);
    }
  }
  const skipped = invalidLines.map((line): Skipped => ({ line, reason: 'not NAME:HASH' }));
  const users = new Map<Namespace, string>();
  const badNames: string[] = [];
  let badHashes = false;
  for (const { line, name: written, hash } of entries) {
    const unsupported = whyUnsupported(hash);
    const name = nameOf(renames.get(written) ?? written);
    const reasons: string[] = [];
    if (typeof name !== 'string') {
      reasons.push(name.message);
      badNames.push(written);
    } else if (users.has(name)) {
      reasons.push(`an earlier line has ${name} already`);
    }
    if (unsupported !== undefined) {
      reasons.push(`the hash of ${quote(written)} cannot be imported: ${unsupported}`);
      badHashes = true;
    }
    if (reasons.length > 0) skipped.push({ line, reason: reasons.join('; ') });
    else users.set(name as Namespace, hash);
  }
  skipped.sort((a, b) => a.line - b.line);
  return { users, skipped, badHashes, suggestions: suggest(badNames, new Set([...users.keys(), reserved])) };
}

/** New names that are unique in the file. */
function suggest(names: readonly string[], taken: Set<string>): ReadonlyMap<string, Namespace> {
  const suggestions = new Map<string, Namespace>();
  for (const old of names) {
    const nearest = nearestName(old);
    if (nearest === undefined) continue;
    let name = nearest;
    for (let i = 2; taken.has(name); i++) name = `${nearest}-${i}` as Namespace;
    taken.add(name);
    suggestions.set(old, name);
  }
  return suggestions;
}

function nameOf(text: string): Namespace | Refused {
  try {
    return parseNewName(text);
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
}

/** Maximum of lines listed in a message. */
const maxListed = 20;

function refusal({ skipped, badHashes, suggestions }: Wanted): Refused {
  const lines = skipped.slice(0, maxListed).map(({ line, reason }) => `  line ${line}: ${reason}`);
  if (skipped.length > maxListed) lines.push(`  and ${skipped.length - maxListed} more`);
  const renames = [...suggestions]
    .slice(0, maxListed)
    .map(([old, name]) => `--rename ${shellWord(`${old}=${name}`)}`);
  if (renames.length > 0) lines.push(`give these users valid names, such as: ${renames.join(' ')}`);
  if (badHashes)
    lines.push('only bcrypt can be imported: give these users a new password (htpasswd -B FILE NAME)');
  lines.push('--skip-unsupported leaves these lines out and imports the others');
  return new Refused(['nothing was imported, because of these lines:', ...lines].join('\n'));
}
