import type { AccessEntry } from '../administration/repository-access.ts';
import { type Answer, listAnswer } from './answer.ts';

/** Answers with the rights of each account on one repository. */
export function accessAnswer(access: readonly AccessEntry[]): Answer {
  return listAnswer(access, {
    ACCOUNT: ({ kind, name }) => (name === null ? kind : `${kind} ${name}`),
    RIGHTS: ({ rights }) => rights.join(','),
    SOURCE: ({ by }) => by,
  });
}
