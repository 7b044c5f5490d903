/** Where people are sent when nothing else was asked for. */
export const accountPath = '/auth/account';

/** A path of this origin, as it was asked for by a link that anybody can have made; anything else is {@link accountPath}. */
export function returnPath(to: unknown): string {
  if (typeof to !== 'string' || to.length > 2048 || !/^\/[\w.~!$&'()*+,;=:@%/?-]*$/.test(to))
    return accountPath;
  const origin = 'https://berth.invalid';
  const url = URL.parse(to, origin);
  // Browsers take `//` for another host, and so may what stands in front of them for `/%2f` or `/%09/`.
  if (url?.origin !== origin || /^\/(?:%09|%0a|%0d|%2f|%5c|\/)/i.test(to)) return accountPath;
  return url.pathname.startsWith('//') ? accountPath : url.pathname + url.search;
}
