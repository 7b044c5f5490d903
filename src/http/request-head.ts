import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { RegistryError } from '../oci/errors.ts';

/** RFC 3986, 3.2.2, without IPvFuture; a port may be empty. */
const hostGrammar = /^(?:\[([\da-f:.]+)\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::(\d{0,5}))?$/i;

/** Caches the last valid host: nearly all requests have the same. */
let validHost = '';

/** Whether there is one valid Host (RFC 9112, 3.2). Node joins two Hosts by a comma and a space, which no host contains. */
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
 * Validates the head of a request that Node has parsed and whose target is canonical. Returns `REQUEST_INVALID` or
 * `NOT_IMPLEMENTED`. It runs for every request, so it checks as little as possible.
 */
export function refusalOfHead(request: IncomingMessage): RegistryError | undefined {
  const { url, method, headers } = request;
  if (!hasValidHost(request))
    return new RegistryError('REQUEST_INVALID', 'the request must have one Host header with a valid host');
  // Only OPTIONS may have the target `*` (RFC 9110, 9.3.7).
  if (url?.[0] !== '/' && !(url === '*' && method === 'OPTIONS')) {
    return new RegistryError('REQUEST_INVALID', 'the request target must be a path, or an http or https URL');
  }
  const coding = headers['transfer-encoding'];
  return coding === undefined ? undefined : refusalOfCoding(coding, request);
}

/** RFC 9112, 6.1. Node ensures that chunked is the last coding. */
function refusalOfCoding(coding: string, { httpVersion }: IncomingMessage): RegistryError | undefined {
  if (coding.toLowerCase() !== 'chunked') {
    return new RegistryError('NOT_IMPLEMENTED', 'the only supported Transfer-Encoding is chunked');
  }
  if (httpVersion === '1.0')
    return new RegistryError('REQUEST_INVALID', 'Transfer-Encoding is not allowed in HTTP/1.0');
  return undefined;
}
