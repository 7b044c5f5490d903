// Who sends a request, and by what name they reached the registry; through a proxy that is trusted, what it says of them.
import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { membership, type Network } from './networks.ts';

export interface Client {
  /** IPv4 never in the form of IPv6, IPv6 without a zone; empty when the connection has gone. */
  readonly address: string;
  readonly scheme: 'http' | 'https';
  /** Host and perhaps port; `undefined` when it was not sent, or is no host. */
  readonly host: string | undefined;
}

export type ClientOf = (request: IncomingMessage) => Client;

/** What requests say of their clients, where X-Forwarded-For, -Proto and -Host are believed from `trustedProxies` alone. */
export function clientsOf(trustedProxies: readonly Network[]): ClientOf {
  if (trustedProxies.length === 0) return (request) => new DirectClient(request);
  const isTrusted = membership(trustedProxies);
  return (request) => {
    const direct = new DirectClient(request);
    const { address } = direct;
    return address !== '' && isTrusted(address) ? forwardedClient(request, direct, isTrusted) : direct;
  };
}

/** Where the client reaches the registry, without a trailing slash; `undefined` when neither says. */
export function baseUrlOf({ scheme, host }: Client, externalUrl: string | undefined): string | undefined {
  return externalUrl ?? (host === undefined ? undefined : `${scheme}://${host}`);
}

/** Whoever has opened the connection. Most requests need one of these or none, so each is found when it is asked for. */
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

function forwardedClient(
  { headers }: IncomingMessage,
  direct: Client,
  isTrusted: (address: string) => boolean,
): Client {
  return {
    address: forwardedAddress(joined(headers['x-forwarded-for']), direct.address, isTrusted),
    scheme: asScheme(lastOf(joined(headers['x-forwarded-proto']))) ?? direct.scheme,
    host: asHost(lastOf(joined(headers['x-forwarded-host']))) ?? direct.host,
  };
}

/**
 * Each proxy adds whom it was sent the request by at the end. From there, the first that is no trusted proxy is the client: what
 * stands before it is the client's own word. It is the same with what cannot be read.
 */
function forwardedAddress(list: string, proxy: string, isTrusted: (address: string) => boolean): string {
  let client = proxy;
  for (let rest: string | undefined = list; rest !== undefined; ) {
    const address = asAddress(lastOf(rest));
    if (address === undefined) return client;
    client = address;
    if (!isTrusted(address)) return client;
    const comma: number = rest.lastIndexOf(',');
    rest = comma === -1 ? undefined : rest.slice(0, comma);
  }
  return client;
}

/** Some proxies write the port too. */
function asAddress(text: string): string | undefined {
  const inBrackets = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1];
  const withPort = /^([\d.]+):\d{1,5}$/.exec(text)?.[1];
  const address = plainAddress(inBrackets ?? withPort ?? text);
  return isIP(address) === 0 ? undefined : address;
}

const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

function plainAddress(text: string): string {
  // Most addresses are IPv4 and have neither.
  if (!text.includes(':')) return text;
  const zone = text.indexOf('%');
  const address = zone === -1 ? text : text.slice(0, zone);
  return mapped.exec(address)?.[1] ?? address;
}

function asScheme(text: string): 'http' | 'https' | undefined {
  const scheme = text.toLowerCase();
  return scheme === 'http' || scheme === 'https' ? scheme : undefined;
}

const longestHost = 260;
const hostForm = /^(?:\[([\dA-Fa-f:.]+)\]|[A-Za-z\d_](?:[A-Za-z\d._-]*[A-Za-z\d_.])?)(?::(\d{1,5}))?$/;

/** A host of RFC 3986's `authority` that there can be: letters that only an escaped name has, and credentials, are none. */
function asHost(text: string | undefined): string | undefined {
  if (text === undefined || text.length > longestHost) return undefined;
  const match = hostForm.exec(text);
  if (match === null) return undefined;
  const [, ipv6, port] = match;
  if (ipv6 !== undefined && !isIPv6(ipv6)) return undefined;
  return Number(port ?? 0) <= 65_535 ? text : undefined;
}

/** What the nearest proxy said. */
function lastOf(list: string): string {
  return list.slice(list.lastIndexOf(',') + 1).trim();
}

function joined(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '');
}
