import type { Access } from '../administration/who-may.ts';
import { table } from './table.ts';

/** The rights of each account on one repository. */
export function accessTable(access: readonly Access[]): string {
  return table(
    ['ACCOUNT', 'RIGHTS', 'SOURCE'],
    access.map(({ kind, name, rights, by }) => [
      name === null ? kind : `${kind} ${name}`,
      rights.join(','),
      by,
    ]),
  );
}
