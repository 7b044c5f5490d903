import { BlockList } from 'node:net';

/** Addresses that begin alike. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** Tells whether an address is in one of the networks; IPv4 also in the form that a listener on `[::]` sees. */
export function membership(networks: readonly Network[]): (address: string) => boolean {
  const list = new BlockList();
  for (const { address, prefix, family } of networks) list.addSubnet(address, prefix, family);
  return (address) => list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}
