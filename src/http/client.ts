// Who sends a request, and by what name they reached the registry; through a proxy that is trusted, what it says of them.
import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type ForwardedHeaders, type Hop, hopsOf } from './forwarded.ts';
import { membership, type Network } from './networks.ts';

export interface Client {
  /** IPv4 never in the form of IPv6, IPv6 without a zone; empty when the connection has gone. */
  readonly address: string;
  readonly scheme: 'http' | 'https';
  /** Host and perhaps port; `undefined` when it was not sent, or is no host. */
  readonly host: string | undefined;
}

export type ClientOf = (request: IncomingMessage) => Client;

/** What requests say of their clients; what is forwarded, in the given family of headers, is believed from `trustedProxies` alone. */
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

/**
 * Goes from one trusted proxy to the one that sent it the request, up to the first that is none: that is the client, and what stands
 * before it is its own word. Scheme and host are those that the farthest trusted proxy was reached by.
 */
function forwardedClient(
  hops: Iterable<Hop>,
  direct: Client,
  isTrusted: (address: string) => boolean,
): Client {
  let client = direct;
  for (const { for: sender, proto, host } of hops) {
    // Past the nearest, what does not say who sent it the request is no proxy but the client.
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

/** Some proxies write the port too. */
function asAddress(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
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

function asScheme(text: string | undefined): 'http' | 'https' | undefined {
  const scheme = text?.toLowerCase();
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
  if (Number(port ?? 0) > 65_535) return undefined;
  // Some names look like addresses and are none: pages could make no URL of them.
  return URL.canParse(`http://${text}`) ? text : undefined;
}
