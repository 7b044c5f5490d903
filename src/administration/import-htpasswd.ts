// Users from an htpasswd file, with the passwords that they have.

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
  /** Who become administrators. */
  readonly administrators?: readonly string[];
  /** Leave out what cannot be imported, rather than to import nothing. */
  readonly skipUnsupported?: boolean;
  /** Names of the file → what their users are called here. */
  readonly renames?: ReadonlyMap<string, string>;
}

export interface Skipped {
  readonly line: number;
  /** What is at fault in the line: it itself, its name, its hash, or both. */
  readonly reason: string;
}

export interface Imported {
  readonly imported: readonly string[];
  /** Names that somebody has already: nothing of theirs was changed. */
  readonly existing: readonly string[];
  readonly skipped: readonly Skipped[];
}

interface Wanted {
  readonly users: ReadonlyMap<Namespace, string>;
  readonly skipped: readonly Skipped[];
  /** Whether some of them have a hash that cannot be imported. */
  readonly badHashes: boolean;
  /** Old name → new name, of which the user could make renames. */
  readonly suggestions: ReadonlyMap<string, Namespace>;
}

/** All or nothing. @throws Refused: what cannot be imported, line by line, and what to do about it */
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
          `${name} is there already, and an import changes nobody: use berth user set ${name} --admin`,
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

/** @throws Refused when a name that is to be changed is not in the file */
function read(text: string, renames: ReadonlyMap<string, string>): Wanted {
  const { entries, strange } = parseHtpasswd(text);
  for (const old of renames.keys()) {
    if (!entries.some(({ name }) => name === old)) {
      throw new Refused(`${quote(old)} cannot be renamed: the file has no such user`);
    }
  }
  const skipped = strange.map((line): Skipped => ({ line, reason: 'not NAME:HASH' }));
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
      reasons.push(`${name} is in a line before already`);
    }
    if (unsupported !== undefined) {
      reasons.push(`the hash of ${quote(written)} is of another kind: ${unsupported}`);
      badHashes = true;
    }
    if (reasons.length > 0) skipped.push({ line, reason: reasons.join('; ') });
    else users.set(name as Namespace, hash);
  }
  skipped.sort((a, b) => a.line - b.line);
  return { users, skipped, badHashes, suggestions: suggest(badNames, new Set([...users.keys(), reserved])) };
}

/** New names that nobody else in the file has. */
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

/** How many lines a message names. */
const named = 20;

function refusal({ skipped, badHashes, suggestions }: Wanted): Refused {
  const lines = skipped.slice(0, named).map(({ line, reason }) => `  line ${line}: ${reason}`);
  if (skipped.length > named) lines.push(`  and ${skipped.length - named} more`);
  const renames = [...suggestions]
    .slice(0, named)
    .map(([old, name]) => `--rename ${shellWord(`${old}=${name}`)}`);
  if (renames.length > 0)
    lines.push(`give these users names that they can have, such as: ${renames.join(' ')}`);
  if (badHashes)
    lines.push('only bcrypt can be imported: give these users a new password (htpasswd -B FILE NAME)');
  lines.push('--skip-unsupported leaves these lines out and imports the others');
  return new Refused(['nothing was imported, because of these lines:', ...lines].join('\n'));
}
