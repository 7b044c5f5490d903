import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { RegistryError } from '../oci/errors.ts';

/** RFC 3986, 3.2.2, but for addresses of the future; a port may be empty. */
const hostGrammar = /^(?:\[([\da-f:.]+)\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::(\d{0,5}))?$/i;

/** The last one that was found valid: nearly all requests name the same. */
let validHost = '';

/** Whether Host is there, once and valid (RFC 9112, 3.2). The server joins two by a comma and a space, which no host has. */
export function hasValidHost({ headers, httpVersion }: IncomingMessage): boolean {
  const { host } = headers;
  if (host === validHost && host !== '') return true;
  if (host === undefined) return httpVersion === '1.0';
  const match = hostGrammar.exec(host);
  if (match === null) return false;
  const [, ipv6, port] = match;
  if ((ipv6 !== undefined && !isIPv6(ipv6)) || Number(port ?? 0) > 65_535) return false;
  validHost = host;
  return true;
}

/**
 * What is wrong with the head of a request that Node has let through and whose target is canonical: `REQUEST_INVALID` or
 * `NOT_IMPLEMENTED`. It is asked for each request, so it looks at as little as can be.
 */
export function refusalOfHead(request: IncomingMessage): RegistryError | undefined {
  const { url, method, headers } = request;
  if (!hasValidHost(request)) return new RegistryError('REQUEST_INVALID', 'Host must be one valid host');
  // For the whole server there is nothing but OPTIONS (RFC 9110, 9.3.7).
  if (url?.[0] !== '/' && !(url === '*' && method === 'OPTIONS')) {
    return new RegistryError('REQUEST_INVALID', 'the target must be a path, or an http or https URL');
  }
  const coding = headers['transfer-encoding'];
  return coding === undefined ? undefined : refusalOfCoding(coding, request);
}

/** RFC 9112, 6.1. Node has seen to it that chunked is the last coding. */
function refusalOfCoding(coding: string, { httpVersion }: IncomingMessage): RegistryError | undefined {
  if (coding.toLowerCase() !== 'chunked') {
    return new RegistryError('NOT_IMPLEMENTED', 'Transfer-Encoding must be chunked and nothing else');
  }
  if (httpVersion === '1.0') return new RegistryError('REQUEST_INVALID', 'HTTP/1.0 has no Transfer-Encoding');
  return undefined;
}
