// Cookies for this origin only, invisible to scripts (RFC 6265bis).
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface Cookie {
  readonly name: string;
  /** Letters, digits, `-`, `_` and `.`. */
  readonly value: string;
  /** Seconds; 0 deletes it. */
  readonly maxAge: number;
  /** For HTTPS only, with the `__Host-` prefix, which prevents other hosts from setting it. */
  readonly secure: boolean;
}

/** Longer headers are ignored; browsers send at most 4 KiB for one cookie. */
const maxHeader = 16 * 1024;

/** `undefined` when the cookie is missing, or sent twice: then one of them is forged. */
export function readCookie({ headers }: FastifyRequest, name: string, secure: boolean): string | undefined {
  const { cookie } = headers;
  if (cookie === undefined || cookie.length > maxHeader) return undefined;
  const start = `${nameOf(name, secure)}=`;
  const found = cookie.split(';').flatMap((part) => {
    const pair = part.trim();
    return pair.startsWith(start) ? [pair.slice(start.length)] : [];
  });
  return found.length === 1 ? found[0] : undefined;
}

export function setCookie(reply: FastifyReply, { name, value, maxAge, secure }: Cookie): void {
  const attributes = [
    'Path=/',
    `Max-Age=${maxAge}`,
    'HttpOnly',
    'SameSite=Lax',
    ...(secure ? ['Secure'] : []),
  ];
  // Fastify appends repeated set-cookie headers.
  reply.header('set-cookie', [`${nameOf(name, secure)}=${value}`, ...attributes].join('; '));
}

function nameOf(name: string, secure: boolean): string {
  return secure ? `__Host-${name}` : name;
}
