// One spelling of each request target, before anything reads it: routes, rights, logs and metrics all see the same path.
import type { IncomingMessage } from 'node:http';
import { hasValidHost } from './request-head.ts';

const absoluteForm = /^https?:\/\/([^/?#]+)(.*)$/is;
const malformed = /%(?![\da-f]{2})/i;
const encoded = /%[\da-f]{2}/gi;
/** What the segments of this server's paths are made of. Anything else stays percent-encoded. */
const ofSegments = /[\w.~:+-]/;
const emptySegments = /^\/+(v2(?:\/|$))?\/*/;

/**
 * Makes a request's target canonical, in place, and returns it; a canonical one stays as it is. An absolute-form target
 * (`GET http://host/v2/`) becomes its path, and its host takes the place of the Host header, as an origin server MUST do
 * (RFC 9112, 3.2.2). It is checked as Host is, see
 * `request-head.ts`.
 */
export function normalizeTarget(request: IncomingMessage): string {
  let target = request.url as string;
  if (!target.startsWith('/')) {
    const [, host, rest] = absoluteForm.exec(target) ?? [];
    if (host !== undefined) {
      // An invalid one stays, and is refused.
      if (hasValidHost(request)) request.headers.host = host;
      target = rest?.startsWith('/') ? rest : `/${rest}`;
    }
  }
  const canonical = canonicalTarget(target);
  if (canonical !== request.url) request.url = canonical;
  return canonical;
}

/**
 * The path is decoded once (RFC 3986, 6.2.2.2), except for slashes: those part nothing. Empty segments before and after `v2` are left
 * out, as clients join a base URL that ends in a slash; in a name they are a mistake. Dots are no directories: no path leads above.
 * The query stays.
 */
function canonicalTarget(target: string): string {
  const question = target.indexOf('?');
  const path = question === -1 ? target : target.slice(0, question);
  if (!path.includes('%') && !path.includes('//')) return target;
  // From `%%361` decoding would make another escape, `%61`.
  if (malformed.test(path)) return target;
  return path.replaceAll(encoded, decode).replace(emptySegments, '/$1') + target.slice(path.length);
}

function decode(code: string): string {
  const character = String.fromCharCode(Number.parseInt(code.slice(1), 16));
  return ofSegments.test(character) ? character : code;
}
