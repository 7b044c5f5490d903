// Parses the forwarding headers of proxies, of either family, nearest proxy first.
import type { IncomingHttpHeaders } from 'node:http';

/** The families of headers. Only one is read: a proxy that sets one passes on the other as the client wrote it. */
export type ForwardedHeaders = 'x-forwarded' | 'forwarded';

/** One proxy's statement about the request that it received; unchecked texts. */
export interface Hop {
  /** The sender: an address with optional port. */
  readonly for: string | undefined;
  /** The scheme and host of the request to the proxy. */
  readonly proto: string | undefined;
  readonly host: string | undefined;
}

/** Each proxy appends an entry, so the last entry comes from the nearest proxy. */
export const hopsOf: Readonly<Record<ForwardedHeaders, (headers: IncomingHttpHeaders) => Iterable<Hop>>> = {
  'x-forwarded': xForwardedHops,
  forwarded: forwardedHops,
};

/**
 * X-Forwarded-For, -Proto and -Host, read in parallel from the end. A proxy may replace the last two instead of appending: then
 * there are fewer of them than addresses, and the farther proxies have none.
 */
function* xForwardedHops(headers: IncomingHttpHeaders): Generator<Hop> {
  const [addresses, schemes, hosts] = ['for', 'proto', 'host'].map((name) =>
    fromEnd(joined(headers[`x-forwarded-${name}`])),
  ) as [Generator<string>, Generator<string>, Generator<string>];
  for (;;) {
    const hop = { for: next(addresses), proto: next(schemes), host: next(hosts) };
    if (hop.for === undefined && hop.proto === undefined && hop.host === undefined) return;
    yield hop;
  }
}

/**
 * RFC 7239, read from the end too: an open quote of the client would hide the elements that proxies append. The first malformed
 * element ends the list.
 */
function* forwardedHops(headers: IncomingHttpHeaders): Generator<Hop> {
  for (const element of fromEnd(joined(headers.forwarded))) {
    const hop = asHop(element);
    if (hop === undefined) return;
    yield hop;
  }
}

/** A quoted value without escapes and semicolons: no address, scheme or host needs one. */
const pair = /^([\w!#$%&'*+.^`|~-]+)=(?:"([^"\\]*)"|([^\s",;\\]+))$/;

function asHop(element: string): Hop | undefined {
  const values = new Map<string, string>();
  for (const text of element.split(';')) {
    const [, name, quoted, token] = pair.exec(text.trim()) ?? [];
    // RFC 7239, 4: no parameter occurs more than once.
    if (name === undefined || values.has(name.toLowerCase())) return undefined;
    values.set(name.toLowerCase(), quoted ?? token ?? '');
  }
  return { for: values.get('for'), proto: values.get('proto'), host: values.get('host') };
}

/** The elements of a comma-separated list, the last first; a quoted comma does not separate. */
function* fromEnd(list: string): Generator<string> {
  if (list === '') return;
  let [end, quoted] = [list.length, false];
  for (let i = list.length - 1; i >= 0; i--) {
    if (list[i] === '"') quoted = !quoted;
    if (list[i] !== ',' || quoted) continue;
    yield list.slice(i + 1, end).trim();
    end = i;
  }
  yield list.slice(0, end).trim();
}

function next(texts: Generator<string>): string | undefined {
  return texts.next().value as string | undefined;
}

function joined(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '');
}
