/** Where people are sent when nothing else was asked for. */
export const accountPath = '/auth/account';

/** A path of this origin, as it was asked for by a link that anybody can have made; anything else is {@link accountPath}. */
export function returnPath(to: unknown): string {
  if (typeof to !== 'string' || to.length > 2048 || !/^\/[\w.~!$&'()*+,;=:@%/?-]*$/.test(to))
    return accountPath;
  // Browsers take `//` for another host, and so may what stands in front of them for `/%2f` or `/%09/`.
  if (/^\/(?:%09|%0a|%0d|%2f|%5c|\/)/i.test(to)) return accountPath;
  // What is left is a path to every reader of URLs; its dots can make it a `//` yet.
  const { pathname, search } = new URL(to, 'https://berth.invalid');
  return pathname.startsWith('//') ? accountPath : pathname + search;
}
