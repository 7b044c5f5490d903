import type { Grantee } from '../db/grants.ts';
import type { Db } from '../db/prepare.ts';
import { accountNamed } from './accounts.ts';
import { teamNamed } from './teams.ts';

/** The holder of a grant as users write it: `alice`, `acme/dev`, `acme+deploy`. */
export interface GranteeName {
  readonly kind: 'user' | 'team' | 'robot';
  readonly name: string;
}

/** @throws Refused if there is no such account or team */
export async function granteeNamed(db: Db, { kind, name }: GranteeName): Promise<Grantee> {
  return kind === 'team'
    ? { team: (await teamNamed(db, name)).id }
    : { account: (await accountNamed(db, name, kind)).id };
}
