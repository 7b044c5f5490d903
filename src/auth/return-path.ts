/** The default return path. */
export const accountPath = '/auth/account';
/** The form action that starts linking single sign-on. */
export const linkPath = `${accountPath}/link`;

const maxLength = 2048;

/** The maximum levels of percent-encoding; no path of Berth has more. */
const maxDecodings = 4;

/** A placeholder origin to resolve paths against. */
const base = 'https://berth.invalid';

/** Validates a return path from an untrusted link; anything but a path of this origin becomes {@link accountPath}. */
export function returnPath(to: unknown): string {
  // Only characters of a path and a query, none with a special meaning in headers or URL parsers.
  if (typeof to !== 'string' || to.length > maxLength || !/^\/[\w.~!$&'()*+,;=:@%/?-]*$/.test(to))
    return accountPath;
  if (!staysHere(to.split('?', 1)[0] as string)) return accountPath;
  const { pathname, search } = new URL(to, base);
  return pathname + search;
}

/**
 * Whether browsers stay on this origin: they read `//` as another host, and `\` as a slash. A proxy may decode the path several
 * times before, and may resolve `..` before or after decoding.
 */
function staysHere(path: string, decodings = maxDecodings): boolean {
  const url = URL.parse(path, base);
  if (url?.origin !== base || url.pathname.startsWith('//') || /^\/[/\\]/.test(path)) return false;
  return [path, url.pathname]
    .map(decode)
    .every((decoded) => decoded === path || (decodings > 0 && staysHere(decoded, decodings - 1)));
}

function decode(path: string): string {
  return path.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}
