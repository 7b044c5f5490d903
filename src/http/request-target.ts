// Normalizes each request target before it is used: routes, rights, logs and metrics all see the same path.
import type { IncomingMessage } from 'node:http';
import { hasValidHost } from './request-head.ts';

const absoluteForm = /^https?:\/\/([^/?#]+)(.*)$/is;
const malformed = /%(?![\da-f]{2})/i;
const encoded = /%[\da-f]{2}/gi;
/** The characters of path segments. All others stay percent-encoded. */
const ofSegments = /[\w.~:+-]/;
const emptySegments = /^\/+(v2(?:\/|$))?\/*/;

/**
 * Normalizes a request's target in place, and returns it. An absolute-form target (`GET http://host/v2/`) becomes its path, and
 * its host replaces the Host header, as an origin server MUST do (RFC 9112, 3.2.2). `request-head.ts` then validates it as Host.
 */
export function normalizeTarget(request: IncomingMessage): string {
  let target = request.url as string;
  if (!target.startsWith('/')) {
    const [, host, rest] = absoluteForm.exec(target) ?? [];
    if (host !== undefined) {
      // An invalid Host stays, and is refused later.
      if (hasValidHost(request)) request.headers.host = host;
      target = rest?.startsWith('/') ? rest : `/${rest}`;
    }
  }
  const canonical = canonicalTarget(target);
  if (canonical !== request.url) request.url = canonical;
  return canonical;
}

/**
 * The path is decoded once (RFC 3986, 6.2.2.2), except for slashes: an encoded slash does not separate segments. Empty segments
 * before and after `v2` are removed, as clients append paths to a base URL that ends in a slash; in a name they are an error.
 * Dot segments have no meaning. The query does not change.
 */
function canonicalTarget(target: string): string {
  const question = target.indexOf('?');
  const path = question === -1 ? target : target.slice(0, question);
  if (!path.includes('%') && !path.includes('//')) return target;
  // Decoding `%%361` would produce another escape, `%61`.
  if (malformed.test(path)) return target;
  return path.replaceAll(encoded, decode).replace(emptySegments, '/$1') + target.slice(path.length);
}

function decode(code: string): string {
  const character = String.fromCharCode(Number.parseInt(code.slice(1), 16));
  return ofSegments.test(character) ? character : code;
}
