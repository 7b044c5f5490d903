// Users from an htpasswd file, with the passwords that they have.
import { insertAccount } from '../../db/accounts.ts';
import type { Database } from '../../db/database.ts';
import { insertUser } from '../../db/users.ts';
import { quote } from '../../oci/digest.ts';
import type { Namespace } from '../../oci/name.ts';
import { parseHtpasswd, whyUnsupported } from '../htpasswd.ts';
import { parseNewName } from './accounts.ts';
import { change } from './change.ts';
import { Refused } from './refused.ts';

export interface ImportOptions {
  /** Who become administrators. */
  readonly administrators?: readonly string[];
  /** Leave out what cannot be imported, rather than to import nothing. */
  readonly skipUnsupported?: boolean;
}

export interface Skipped {
  readonly line: number;
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
}

/** All or nothing. @throws Refused: what cannot be imported, line by line, and what to do about it */
export async function importHtpasswd(
  database: Database,
  text: string,
  { administrators = [], skipUnsupported = false }: ImportOptions = {},
): Promise<Imported> {
  const { users, skipped } = read(text);
  if (skipped.length > 0 && !skipUnsupported) throw refusal(skipped);
  for (const name of administrators) {
    if (!users.has(name as Namespace)) {
      throw new Refused(
        `${quote(name)} cannot be made an administrator: the file has no such user to import`,
      );
    }
  }
  const now = database.clock();
  return change(database, async (db) => {
    const imported: string[] = [];
    const existing: string[] = [];
    for (const [name, password] of users) {
      const id = await insertAccount(db, { name, kind: 'user' }, now);
      const administrator = administrators.includes(name);
      if (id !== undefined) {
        await insertUser(db, id, { mail: null, password, administrator, tokenOnly: false }, now);
        imported.push(name);
      } else if (administrator) {
        throw new Refused(
          `${name} is there already, and an import changes nobody: use berth user set ${name} --admin`,
        );
      } else {
        existing.push(name);
      }
    }
    return { imported, existing, skipped };
  });
}

function read(text: string): Wanted {
  const { entries, strange } = parseHtpasswd(text);
  const skipped = strange.map((line): Skipped => ({ line, reason: 'not NAME:HASH' }));
  const users = new Map<Namespace, string>();
  for (const { line, name: written, hash } of entries) {
    const unsupported = whyUnsupported(hash);
    const name = nameOf(written);
    if (unsupported !== undefined) {
      skipped.push({
        line,
        reason: `the password of ${quote(written)} is hashed with another method: ${unsupported}`,
      });
    } else if (typeof name !== 'string') {
      skipped.push({ line, reason: name.message });
    } else if (users.has(name)) {
      skipped.push({ line, reason: `${name} stands in the file before` });
    } else {
      users.set(name, hash);
    }
  }
  return { users, skipped: skipped.sort((a, b) => a.line - b.line) };
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

function refusal(skipped: readonly Skipped[]): Refused {
  const lines = skipped.slice(0, named).map(({ line, reason }) => `  line ${line}: ${reason}`);
  if (skipped.length > named) lines.push(`  and ${skipped.length - named} more`);
  return new Refused(
    [
      'nothing was imported, because of these lines:',
      ...lines,
      'only bcrypt can be imported: give these users a new password (htpasswd -B FILE NAME), or leave them out with --skip-unsupported',
    ].join('\n'),
  );
}
