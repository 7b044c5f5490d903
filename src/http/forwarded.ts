// What proxies say of those that sent them a request, in either of the two families of headers, nearest proxy first.
import type { IncomingHttpHeaders } from 'node:http';

/** The families of headers; only one of them is read, as a proxy that sets one passes on what a client writes into the other. */
export type ForwardedHeaders = 'x-forwarded' | 'forwarded';

/** What one proxy says of the request that it was sent; texts that nobody has checked. */
export interface Hop {
  /** Who sent it: an address, perhaps with a port. */
  readonly for: string | undefined;
  /** The scheme and the host that it was sent with. */
  readonly proto: string | undefined;
  readonly host: string | undefined;
}

/** Each proxy adds at the end, so the last is what the nearest says. */
export const hopsOf: Readonly<Record<ForwardedHeaders, (headers: IncomingHttpHeaders) => Iterable<Hop>>> = {
  'x-forwarded': xForwardedHops,
  forwarded: forwardedHops,
};

/**
 * X-Forwarded-For, -Proto and -Host, read side by side from the end. A proxy may set the last two instead of adding to them: then there
 * are fewer than addresses, and the farther proxies say nothing of it.
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
 * RFC 7239. It is read from the end too: a quote that a client has left open would swallow what proxies add after it. The first
 * element that is none ends it.
 */
function* forwardedHops(headers: IncomingHttpHeaders): Generator<Hop> {
  for (const element of fromEnd(joined(headers.forwarded))) {
    const hop = asHop(element);
    if (hop === undefined) return;
    yield hop;
  }
}

/** A value in quotes has no escapes and no semicolon here: no address, scheme or host needs one. */
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

/** The parts of a list between commas, the last first; a comma in quotes parts nothing. */
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
