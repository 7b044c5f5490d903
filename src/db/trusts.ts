import type { Namespace } from '../oci/name.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** Jobs elsewhere that an organisation lets in, by what their ID tokens say of them. */
export interface Trust {
  readonly id: number;
  readonly organisation: Namespace;
  readonly name: string;
  readonly issuer: string;
  readonly audience: string;
  /** A JSON Web Key Set, where the issuer's own is not to be fetched. */
  readonly keys: string | null;
  /** JSON object: claim → pattern. */
  readonly claims: string;
  /** An administrator has said that all jobs of the issuer are theirs. */
  readonly ownIssuer: boolean;
  /** Parted by spaces. */
  readonly scopes: string;
  /** Milliseconds for which a job that logged in may fetch tokens. */
  readonly lifetime: number;
  readonly createdAt: number;
  /** Later with each change of the terms, whatever the clock says: what was granted by other terms than these is granted no more. */
  readonly updatedAt: number;
}

/** As the database has it. */
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

/** Those of an organisation, if it is not disabled, that tokens of the issuer may meet; by name. */
export async function findTrustsIn(db: Db, organisation: string, issuer: string): Promise<Trust[]> {
  return (await selectOfIssuer(db, { organisation, issuer })).map(trustOf);
}

/** All of an organisation, or of all organisations; by name. */
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

/** False when the organisation has one of that name. */
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

/** What was granted for the former terms ends with them. */
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

/** Milliseconds for which a job may fetch tokens at most, whoever let it in; 0 when nobody lets jobs in. */
export async function longestTrust(db: Db): Promise<number> {
  const { longest } = await db
    .selectFrom('trusts')
    .select((select) => select.fn.max('lifetime').as('longest'))
    .executeTakeFirstOrThrow();
  return Number(longest ?? 0);
}
