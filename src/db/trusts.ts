import type { Namespace } from '../oci/name.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** A trust: an organisation's rule to log in CI jobs by the claims of their ID tokens. */
export interface Trust {
  readonly id: number;
  readonly organisation: Namespace;
  readonly name: string;
  readonly issuer: string;
  readonly audience: string;
  /** A JSON Web Key Set, used instead of fetching the issuer's. */
  readonly keys: string | null;
  /** JSON object: claim → pattern. */
  readonly claims: string;
  /** An administrator has confirmed that no other party has jobs at the issuer. */
  readonly ownIssuer: boolean;
  /** Separated by spaces. */
  readonly scopes: string;
  /** Milliseconds for which a logged-in job may fetch tokens. */
  readonly lifetime: number;
  readonly createdAt: number;
  /** Strictly increases with each change of the terms, even if the clock was set back; logins by earlier terms are invalid. */
  readonly updatedAt: number;
}

/** A row of the database. */
type TrustRow = Omit<Trust, 'ownIssuer'> & { readonly ownIssuer: number };

function selectTrusts(db: Db) {
  return db
    .selectFrom('trusts')
    .innerJoin('accounts', 'accounts.id', 'trusts.organisation_id')
    .select('accounts.name as organisation')
    .$narrowType<{ organisation: Namespace }>()
    .select([
      'trusts.id',
      'trusts.name',
      'trusts.issuer',
      'trusts.audience',
      'trusts.keys',
      'trusts.claims',
      'trusts.own_issuer as ownIssuer',
      'trusts.scopes',
      'trusts.lifetime',
      'trusts.created_at as createdAt',
      'trusts.updated_at as updatedAt',
    ])
    .orderBy('accounts.name')
    .orderBy('trusts.name');
}

const selectOfIssuer = prepare((db, p: Params<{ organisation: string; issuer: string }>) =>
  selectTrusts(db)
    .where('accounts.name', '=', p('organisation'))
    .where('accounts.disabled_at', 'is', null)
    .where('trusts.issuer', '=', p('issuer')),
);

/** The trusts of an organisation for an issuer, unless the organisation is disabled; by name. */
export async function findTrustsIn(db: Db, organisation: string, issuer: string): Promise<Trust[]> {
  return (await selectOfIssuer(db, { organisation, issuer })).map(trustOf);
}

/** All trusts of an organisation, or of all organisations; by name. */
export async function listTrusts(db: Db, organisation?: number): Promise<Trust[]> {
  const query = selectTrusts(db);
  const rows = await (organisation === undefined
    ? query
    : query.where('accounts.id', '=', organisation)
  ).execute();
  return rows.map(trustOf);
}

export async function findTrust(db: Db, organisation: number, name: string): Promise<Trust | undefined> {
  const row = await selectTrusts(db)
    .where('trusts.organisation_id', '=', organisation)
    .where('trusts.name', '=', name)
    .executeTakeFirst();
  return row && trustOf(row);
}

function trustOf(row: TrustRow): Trust {
  return { ...row, ownIssuer: row.ownIssuer === 1 };
}

export type TrustTerms = Pick<
  Trust,
  'issuer' | 'audience' | 'keys' | 'claims' | 'ownIssuer' | 'scopes' | 'lifetime'
>;

function columnsOf({ ownIssuer, ...terms }: TrustTerms) {
  return { ...terms, own_issuer: Number(ownIssuer) };
}

/** False if the organisation has a trust of this name. */
export async function insertTrust(
  db: Db,
  organisation: number,
  name: string,
  terms: TrustTerms,
  now: number,
): Promise<boolean> {
  const inserted = await db
    .insertInto('trusts')
    .values({ ...columnsOf(terms), organisation_id: organisation, name, created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.columns(['organisation_id', 'name']).doNothing())
    .returning('id')
    .executeTakeFirst();
  return inserted !== undefined;
}

/** Replaces the terms; logins by the former terms are no longer valid. */
export async function updateTrust(db: Db, id: number, terms: TrustTerms, now: number): Promise<void> {
  await db
    .updateTable('trusts')
    .set({ ...columnsOf(terms), updated_at: now })
    .where('id', '=', id)
    .execute();
}

export async function deleteTrust(db: Db, id: number): Promise<void> {
  await db.deleteFrom('trusts').where('id', '=', id).execute();
}

/** The longest lifetime of all trusts, in milliseconds; 0 if there are none. */
export async function longestTrust(db: Db): Promise<number> {
  const { longest } = await db
    .selectFrom('trusts')
    .select((select) => select.fn.max('lifetime').as('longest'))
    .executeTakeFirstOrThrow();
  return Number(longest ?? 0);
}
