import { type Pattern, prefixOf } from '../access/pattern.ts';
import { Refused } from '../access/refused.ts';
import { findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { deleteGrant, type GrantRow, listGrants, upsertGrant } from '../db/grants.ts';
import type { Db } from '../db/prepare.ts';
import { listSummaries } from '../db/repository-ranges.ts';
import type { Role } from '../db/schema.ts';
import { asNamespace } from '../oci/name.ts';
import { type ActingDatabase, change } from './change.ts';
import { type GranteeName, granteeNamed } from './grantee.ts';
import { parsePattern } from './parse-pattern.ts';

/**
 * Gives a role on all repositories that the pattern matches, now and later. Replaces the grantee's role for the same pattern.
 * Gives a warning, if any.
 * @throws Refused
 */
export function setGrant(
  database: ActingDatabase,
  grant: { readonly pattern: string; readonly grantee: GranteeName; readonly role: Role },
): Promise<{ readonly warning: string | undefined }> {
  const pattern = parsePattern(grant.pattern);
  checkNamespace(pattern);
  return change(database, async (db, record) => {
    const { role } = grant;
    const { kind, name } = grant.grantee;
    const grantee = await granteeNamed(db, grant.grantee);
    const before = (await listGrants(db, grantee)).find((one) => one.pattern === pattern);
    await upsertGrant(db, { pattern, grantee, role }, database.clock());
    if (before?.role !== role) await record('grant.set', { pattern, [kind]: name, role });
    return { warning: await whyNothingMatches(db, pattern) };
  });
}

/**
 * The pattern has to name one namespace, or match all. A pattern such as `acme*` would also give rights in namespaces that other
 * users create later.
 */
function checkNamespace(pattern: Pattern): void {
  const [first, ...rest] = pattern.split('/') as [string, ...string[]];
  if (rest.length === 0 || !first.includes('*') || /^\*+$/.test(first)) return;
  const below = rest.join('/');
  throw new Refused(
    `${pattern} would also match namespaces that are created later with a name like ${first}: name each namespace (NAME/${below}), ` +
      `or match all, present and future (*/${below})`,
  );
}

/** A grant may precede its repositories, but more often the pattern is mistyped. */
async function whyNothingMatches(db: Db, pattern: Pattern): Promise<string | undefined> {
  const [first, ...rest] = pattern.split('/') as [string, ...string[]];
  const namespace = asNamespace(first);
  if (namespace === undefined) return undefined;
  if (rest.length > 0 && (await findAccount(db, namespace)) !== undefined) return undefined;
  const prefix = prefixOf(pattern);
  // A name sorts before the longer names that begin with it.
  const [repository] = await listSummaries(db, prefix, '', 1);
  if (repository !== undefined && (prefix !== pattern || repository.name === prefix)) return undefined;
  return rest.length > 0
    ? `${pattern} matches nothing yet: there is no user or organisation ${namespace}, and no such repository`
    : `${pattern} matches nothing yet: there is no such repository`;
}

/** @throws Refused */
export async function removeGrant(
  database: ActingDatabase,
  pattern: string,
  name: GranteeName,
): Promise<void> {
  await change(database, async (db, record) => {
    const grantee = await granteeNamed(db, name);
    if (await deleteGrant(db, pattern, grantee)) {
      return record('grant.remove', { pattern, [name.kind]: name.name });
    }
    const others = (await listGrants(db, grantee)).map((grant) => grant.pattern);
    const existing = others.length === 0 ? 'no grants' : `grants for ${others.join(', ')}`;
    throw new Refused(`${name.kind} ${name.name} has no grant for ${pattern} (it has ${existing})`);
  });
}

/** All grants, or those of one grantee. @throws Refused */
export async function grantsOf(
  { read }: Pick<Database, 'read'>,
  name: GranteeName | undefined,
): Promise<GrantRow[]> {
  return listGrants(read, name && (await granteeNamed(read, name)));
}
