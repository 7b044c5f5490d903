/** Where people are sent when nothing else was asked for. */
export const accountPath = '/auth/account';
/** Where a form of that page begins to link single sign-on. */
export const linkPath = `${accountPath}/link`;

const maxLength = 2048;

/** A path that is still encoded after so many readers is no path that Berth has. */
const mostDecodings = 4;

/** Any origin: only whether a path stays on it matters. */
const base = 'https://berth.invalid';

/** A path of this origin, as it was asked for by a link that anybody can have made; anything else is {@link accountPath}. */
export function returnPath(to: unknown): string {
  // Only the marks of a path and a query: what a header, or a reader of URLs, takes for something else is none of them.
  if (typeof to !== 'string' || to.length > maxLength || !/^\/[\w.~!$&'()*+,;=:@%/?-]*$/.test(to))
    return accountPath;
  if (!staysHere(to.split('?', 1)[0] as string)) return accountPath;
  const { pathname, search } = new URL(to, base);
  return pathname + search;
}

/**
 * Whether browsers stay on this origin by the path, and so they do when proxies in front of them decode it first, some times over, and
 * resolve `..` in it before that or leave it: `//` is another host to them, and `\` another slash.
 */
function staysHere(path: string, decodings = mostDecodings): boolean {
  const url = URL.parse(path, base);
  if (url?.origin !== base || url.pathname.startsWith('//') || /^\/[/\\]/.test(path)) return false;
  return [path, url.pathname]
    .map(decode)
    .every((decoded) => decoded === path || (decodings > 0 && staysHere(decoded, decodings - 1)));
}

function decode(path: string): string {
  return path.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}
