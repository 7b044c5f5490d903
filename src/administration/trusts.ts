import type { ClaimRules } from '../access/login/claim-rules.ts';
import { Refused } from '../access/refused.ts';
import type { Db } from '../db/prepare.ts';
import { deleteTrust, findTrust, insertTrust, listTrusts, type Trust, updateTrust } from '../db/trusts.ts';
import { quote } from '../oci/digest.ts';
import { asNamespace, type Namespace } from '../oci/name.ts';
import { accountNamed, nameRule } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';
import { parseTerms, type TrustRequest } from './trust-terms.ts';

const defaults = { lifetime: 3_600_000, keys: null, ownIssuer: false };

/** @throws Refused */
export function createTrust(
  database: ActingDatabase,
  organisation: string,
  name: string,
  request: Omit<TrustRequest, keyof typeof defaults> & Partial<TrustRequest>,
): Promise<Trust> {
  return change(database, async (db, record) => {
    const { id } = await accountNamed(db, organisation, 'organisation');
    if (asNamespace(name) === undefined)
      throw new Refused(`${quote(name)} is not a valid name of a trust: ${nameRule}`);
    const terms = parseTerms(organisation as Namespace, { ...defaults, ...request });
    if (!(await insertTrust(db, id, name, terms, database.clock()))) {
      throw new Refused(`${organisation} already has a trust ${name}: change it with berth trust set`);
    }
    const trust = await trustNamed(db, organisation, name);
    await record('trust.create', termsOf(trust));
    return trust;
  });
}

/** Changes only the fields given; authenticated jobs have to log in again. @throws Refused */
export function changeTrust(
  database: ActingDatabase,
  organisation: string,
  name: string,
  request: Partial<TrustRequest>,
): Promise<Trust> {
  return change(database, async (db, record) => {
    const trust = await trustNamed(db, organisation, name);
    const { issuer, audience, keys, lifetime } = trust;
    const claims = JSON.parse(trust.claims) as ClaimRules;
    // The confirmation of the former issuer does not apply to a new issuer.
    const ownIssuer = trust.ownIssuer && (request.issuer === undefined || request.issuer === issuer);
    const before = { issuer, audience, keys, lifetime, claims, ownIssuer, scopes: trust.scopes.split(' ') };
    const terms = parseTerms(trust.organisation, { ...before, ...request });
    await updateTrust(db, trust.id, terms, Math.max(database.clock(), trust.updatedAt + 1));
    const changed = await trustNamed(db, organisation, name);
    await record('trust.update', termsOf(changed));
    return changed;
  });
}

/** Deletes a trust; its jobs lose access at once. @throws Refused */
export function removeTrust(database: ActingDatabase, organisation: string, name: string): Promise<void> {
  return change(database, async (db, record) => {
    await deleteTrust(db, (await trustNamed(db, organisation, name)).id);
    await record('trust.delete', { organisation, trust: name });
  });
}

function termsOf({ organisation, name, issuer, audience, claims, scopes, lifetime }: Trust) {
  return { organisation, trust: name, issuer, audience, claims, scopes, lifetime };
}

/** @throws Refused if there is no such trust */
export async function trustNamed(db: Db, organisation: string, name: string): Promise<Trust> {
  const { id } = await accountNamed(db, organisation, 'organisation');
  const trust = asNamespace(name) && (await findTrust(db, id, name));
  if (!trust) throw new Refused(`${organisation} has no trust ${asNamespace(name) ?? quote(name)}`);
  return trust;
}

/** The trusts of one organisation, or of all. @throws Refused if there is no such organisation */
export async function trustsOf(db: Db, organisation: string | undefined): Promise<Trust[]> {
  if (organisation === undefined) return listTrusts(db);
  return listTrusts(db, (await accountNamed(db, organisation, 'organisation')).id);
}
