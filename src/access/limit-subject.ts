import { networkOf } from './network-of.ts';

/** The subject that a request's limits count against: the account, or the client's network if anonymous. */
export function limitSubject(principal: string, address: string): string {
  return principal === 'anonymous' ? `address:${networkOf(address)}` : principal;
}
