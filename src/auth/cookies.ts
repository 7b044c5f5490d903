// Cookies that only this origin reads and no script sees (RFC 6265bis).
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface Cookie {
  readonly name: string;
  /** Letters, digits, `-`, `_` and `.`. */
  readonly value: string;
  /** Seconds; 0 takes it away. */
  readonly maxAge: number;
  /** It is for HTTPS alone, and its name says so: nobody else, and no page of another host, can have set it. */
  readonly secure: boolean;
}

/** Above this nothing is read; browsers send no more than 4 KiB for one. */
const maxHeader = 16 * 1024;

/** `undefined` when it was not sent, or twice: then one of them is not ours. */
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
  // Fastify sends each of several.
  reply.header('set-cookie', [`${nameOf(name, secure)}=${value}`, ...attributes].join('; '));
}

function nameOf(name: string, secure: boolean): string {
  return secure ? `__Host-${name}` : name;
}
