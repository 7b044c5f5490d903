const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * The network of a client: its IPv4 address, or the /64 of its IPv6 address, because one client can have all addresses of a /64.
 * `2001:db8::1` gives `2001:db8:0:0::/64`, `::ffff:192.0.2.1` gives `192.0.2.1`.
 */
export function networkOf(address: string): string {
  const ipv4 = mapped.exec(address)?.[1];
  if (ipv4 !== undefined) return ipv4;
  if (!address.includes(':')) return address;
  const [head = '', tail] = (address.split('%')[0] as string).split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  // An IPv4 address at the end takes the place of two groups.
  const length = (groups: readonly string[]): number =>
    groups.length + Number(groups.at(-1)?.includes('.') ?? false);
  const zeros = tail === undefined ? 0 : 8 - length(left) - length(right);
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
