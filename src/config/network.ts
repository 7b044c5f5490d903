// A network or one address: `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`.
import { isIPv4, isIPv6 } from 'node:net';

/** In the terms of `BlockList.addSubnet`. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

const BITS = { ipv4: 32, ipv6: 128 };

/** `undefined` for anything that is not a network; never throws. A single address is a network of one. */
export function parseNetwork(text: string): Network | undefined {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
  // A zone (`fe80::1%eth0`) names an interface of one machine, not a network.
  if (family === undefined || address.includes('%')) return undefined;
  const bits = BITS[family];
  const digits = slash < 0 ? String(bits) : text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > bits) return undefined;
  return Object.freeze({ address, prefix: Number(digits), family });
}

export function formatNetwork({ address, prefix, family }: Network): string {
  return prefix === BITS[family] ? address : `${address}/${prefix}`;
}
