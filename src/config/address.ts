// Listen addresses: `HOST:PORT`, an IPv6 address in brackets.
import { BlockList, isIPv4, isIPv6 } from 'node:net';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** `undefined` for anything that is not an address; never throws. */
export function parseAddress(text: string): ListenAddress | undefined {
  const colon = text.lastIndexOf(':');
  const digits = text.slice(colon + 1);
  if (colon < 1 || !/^\d{1,5}$/.test(digits) || Number(digits) > 65_535) return undefined;
  const host = text.slice(0, colon);
  const inner = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : undefined;
  const known = inner === undefined ? isIPv4(host) || isHostname(host) : isIPv6(inner);
  return known ? Object.freeze({ host: inner ?? host, port: Number(digits) }) : undefined;
}

export function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach the address. Of host names, only `localhost` counts. */
export function isLoopback({ host }: ListenAddress): boolean {
  if (isIPv4(host)) return loopback.check(host, 'ipv4');
  if (isIPv6(host)) return loopback.check(host, 'ipv6');
  return host.toLowerCase() === 'localhost';
}

function isHostname(host: string): boolean {
  if (host.length > 253) return false;
  const labels = host.split('.');
  // A last label of digits only is a mistyped IPv4 address: getaddrinfo accepts 127.1 and 0 as addresses.
  return labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1)!);
}
