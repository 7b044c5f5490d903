import type { AccessEntry } from '../administration/repository-access.ts';
import { type Answer, listed } from './answer.ts';

/** The rights of each account on one repository. */
export function listedAccess(access: readonly AccessEntry[]): Answer {
  return listed(access, {
    ACCOUNT: ({ kind, name }) => (name === null ? kind : `${kind} ${name}`),
    RIGHTS: ({ rights }) => rights.join(','),
    SOURCE: ({ by }) => by,
  });
}
