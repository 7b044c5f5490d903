import { networkOf } from './network-of.ts';

/** Whose limits a request counts against: an account's, or those of the network that a caller without one comes from. */
export function limitSubject(principal: string, address: string): string {
  return principal === 'anonymous' ? `address:${networkOf(address)}` : principal;
}
