import type { Access } from '../administration/who-may.ts';
import { table } from './table.ts';

/** Who may do what with one repository. */
export function accessTable(access: readonly Access[]): string {
  return table(
    ['WHO', 'MAY', 'BY'],
    access.map(({ kind, name, rights, by }) => [
      name === null ? kind : `${kind} ${name}`,
      rights.join(','),
      by,
    ]),
  );
}
