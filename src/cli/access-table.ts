import type { AccessEntry } from '../administration/repository-access.ts';
import { table } from './table.ts';

/** The rights of each account on one repository. */
export function accessTable(access: readonly AccessEntry[]): string {
  return table(
    ['ACCOUNT', 'RIGHTS', 'SOURCE'],
    access.map(({ kind, name, rights, by }) => [
      name === null ? kind : `${kind} ${name}`,
      rights.join(','),
      by,
    ]),
  );
}
