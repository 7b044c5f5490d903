import { BlockList } from 'node:net';

/** A network in CIDR form. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** Tests whether an address is in one of the networks; IPv4-mapped IPv6, which a listener on `[::]` sees, counts as IPv4. */
export function membership(networks: readonly Network[]): (address: string) => boolean {
  const list = new BlockList();
  for (const { address, prefix, family } of networks) list.addSubnet(address, prefix, family);
  return (address) => list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}
