// The client address, scheme and host of a request, as the connection or a trusted proxy states them.
import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type ForwardedHeaders, type Hop, hopsOf } from './forwarded.ts';
import { membership, type Network } from './networks.ts';

export interface Client {
  /** An IPv4-mapped address as IPv4, IPv6 without a zone; empty when the connection is closed. */
  readonly address: string;
  readonly scheme: 'http' | 'https';
  /** Host and optional port; `undefined` when it is missing or invalid. */
  readonly host: string | undefined;
}

export type ClientOf = (request: IncomingMessage) => Client;

/** Returns the function that finds a request's client. It reads one family of headers, and only from `trustedProxies`. */
export function clientsOf(
  trustedProxies: readonly Network[],
  headers: ForwardedHeaders = 'x-forwarded',
): ClientOf {
  if (trustedProxies.length === 0) return (request) => new DirectClient(request);
  const isTrusted = membership(trustedProxies);
  const hops = hopsOf[headers];
  return (request) => {
    const direct = new DirectClient(request);
    const { address } = direct;
    return address !== '' && isTrusted(address)
      ? forwardedClient(hops(request.headers), direct, isTrusted)
      : direct;
  };
}

/** The registry's URL for this client, without a trailing slash; `undefined` without `externalUrl` and host. */
export function baseUrlOf({ scheme, host }: Client, externalUrl: string | undefined): string | undefined {
  return externalUrl ?? (host === undefined ? undefined : `${scheme}://${host}`);
}

/** The peer of the connection. Most requests need at most one field, so each is computed on access. */
class DirectClient implements Client {
  readonly #request: IncomingMessage;

  constructor(request: IncomingMessage) {
    this.#request = request;
  }

  get address(): string {
    return plainAddress(this.#request.socket.remoteAddress ?? '');
  }

  get scheme(): 'http' | 'https' {
    return (this.#request.socket as Partial<TLSSocket>).encrypted ? 'https' : 'http';
  }

  get host(): string | undefined {
    return asHost(this.#request.headers.host);
  }
}

/**
 * Follows the chain of trusted proxies up to the first address that is not trusted. That is the client, and entries before it are
 * the client's own claims. Scheme and host are those of the request to the farthest trusted proxy.
 */
function forwardedClient(
  hops: Iterable<Hop>,
  direct: Client,
  isTrusted: (address: string) => boolean,
): Client {
  let client = direct;
  for (const { for: sender, proto, host } of hops) {
    // After the entry of the nearest proxy, an entry without a sender may be forged by the client.
    if (sender === undefined && client !== direct) break;
    const address = asAddress(sender);
    client = {
      address: address ?? client.address,
      scheme: asScheme(proto) ?? client.scheme,
      host: asHost(host) ?? client.host,
    };
    if (address === undefined || !isTrusted(address)) break;
  }
  return client;
}

/** Parses an address; some proxies add the port. */
function asAddress(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const inBrackets = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1];
  const withPort = /^([\d.]+):\d{1,5}$/.exec(text)?.[1];
  const address = plainAddress(inBrackets ?? withPort ?? text);
  return isIP(address) === 0 ? undefined : address;
}

const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

function plainAddress(text: string): string {
  // The fast path for IPv4.
  if (!text.includes(':')) return text;
  const zone = text.indexOf('%');
  const address = zone === -1 ? text : text.slice(0, zone);
  return mapped.exec(address)?.[1] ?? address;
}

function asScheme(text: string | undefined): 'http' | 'https' | undefined {
  const scheme = text?.toLowerCase();
  return scheme === 'http' || scheme === 'https' ? scheme : undefined;
}

const longestHost = 260;
const hostForm = /^(?:\[([\dA-Fa-f:.]+)\]|[A-Za-z\d_](?:[A-Za-z\d._-]*[A-Za-z\d_.])?)(?::(\d{1,5}))?$/;

/** Parses host and port of an `authority` (RFC 3986); `undefined` for credentials and percent-encoded names. */
function asHost(text: string | undefined): string | undefined {
  if (text === undefined || text.length > longestHost) return undefined;
  const match = hostForm.exec(text);
  if (match === null) return undefined;
  const [, ipv6, port] = match;
  if (ipv6 !== undefined && !isIPv6(ipv6)) return undefined;
  if (Number(port ?? 0) > 65_535) return undefined;
  // Some names look like invalid addresses (`1.2.3.999`), and no URL can be made of them.
  return URL.canParse(`http://${text}`) ? text : undefined;
}
