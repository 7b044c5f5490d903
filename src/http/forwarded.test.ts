// Reads the client from a chain of proxies, in both families of headers.
import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Client, clientsOf } from './client.ts';
import type { ForwardedHeaders } from './forwarded.ts';

const trusted = [{ address: '10.0.0.0', prefix: 8, family: 'ipv4' }] as const;

/** The client that the registry sees in a request of the proxy 10.0.0.1, sent to `inner` over plain HTTP. */
function seen(family: ForwardedHeaders, headers: Record<string, string>, peer = '10.0.0.1'): Client {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: peer });
  const request = new IncomingMessage(socket);
  Object.assign(request.headers, { host: 'inner', ...headers });
  const { address, scheme, host } = clientsOf(trusted, family)(request);
  return { address, scheme, host };
}

const x = (list?: string, proto?: string, host?: string): Record<string, string> => ({
  ...(list !== undefined && { 'x-forwarded-for': list }),
  ...(proto !== undefined && { 'x-forwarded-proto': proto }),
  ...(host !== undefined && { 'x-forwarded-host': host }),
});

type Row = [what: string, headers: Record<string, string>, address: string, scheme: string, host: string];

/** The client is 203.0.113.9, the outer proxy 10.0.0.2, the middle one 10.0.0.3. */
const xForwarded: Row[] = [
  ['one proxy', x('203.0.113.9', 'https', 'r.example'), '203.0.113.9', 'https', 'r.example'],
  [
    'two proxies that append',
    x('203.0.113.9, 10.0.0.2', 'https, http', 'r.example, middle'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'three proxies that append',
    x('203.0.113.9,10.0.0.2,10.0.0.3', 'https,http,http', 'r.example,a,b'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'two proxies that append to forged headers',
    x('198.51.100.7, 203.0.113.9, 10.0.0.2', 'evil, https, http', 'evil, r.example, middle'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'one proxy that appends to forged headers',
    x('10.0.0.2, 203.0.113.9', 'http, https', 'evil, r.example'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'two proxies, the inner passes on scheme and host',
    x('203.0.113.9, 10.0.0.2', 'https', 'r.example'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'two proxies, only the inner sets scheme and host',
    x('203.0.113.9, 10.0.0.2', 'http', 'middle'),
    '203.0.113.9',
    'http',
    'middle',
  ],
  [
    'two proxies, one appends hosts',
    x('203.0.113.9, 10.0.0.2', 'https', 'r.example, middle'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'a client at a trusted address that is no proxy',
    x('10.0.0.9', 'evil, https', 'evil, r.example'),
    '10.0.0.9',
    'https',
    'r.example',
  ],
  [
    'a list without addresses',
    x(undefined, 'http, https', 'evil, r.example'),
    '10.0.0.1',
    'https',
    'r.example',
  ],
  [
    'an unreadable address',
    x('203.0.113.9, unknown', 'http, https', 'evil, r.example'),
    '10.0.0.1',
    'https',
    'r.example',
  ],
  [
    'an invalid scheme and host',
    x('203.0.113.9, 10.0.0.2', 'ftp, https', 'a b, r.example'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  ['nothing', {}, '10.0.0.1', 'http', 'inner'],
  [
    'a forged Forwarded',
    { forwarded: 'for=198.51.100.7;proto=https;host=evil' },
    '10.0.0.1',
    'http',
    'inner',
  ],
];

const f = (forwarded: string): Record<string, string> => ({ forwarded });
const evil = 'for=198.51.100.7;proto=http;host=evil';

const forwarded: Row[] = [
  ['one proxy', f('for=203.0.113.9;proto=https;host=r.example'), '203.0.113.9', 'https', 'r.example'],
  [
    'two proxies',
    f('for=203.0.113.9;proto=https;host=r.example, for=10.0.0.2;proto=http;host=middle'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'two proxies, one sets only the address',
    f('for=203.0.113.9;proto=https;host=r.example,for=10.0.0.2'),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'a forged element',
    f(`${evil}, for=203.0.113.9;proto=https;host=r.example`),
    '203.0.113.9',
    'https',
    'r.example',
  ],
  [
    'quotes, ports, upper and lower case, other parameters',
    f('For="[2001:db8::1]:4711";PROTO=HTTPS;by=10.0.0.1;Host="r.example:8443"'),
    '2001:db8::1',
    'https',
    'r.example:8443',
  ],
  ['a comma in quotes', f('for=203.0.113.9;proto=https;by="_a, b"'), '203.0.113.9', 'https', 'inner'],
  ['an obfuscated client', f('for=_hidden;proto=https;host=r.example'), '10.0.0.1', 'https', 'r.example'],
  ['an unknown client', f(`${evil}, for=unknown;proto=https`), '10.0.0.1', 'https', 'inner'],
  ['no sender', f(`${evil}, proto=https;host=r.example`), '10.0.0.1', 'https', 'r.example'],
  ['an open quote of the client', f('for=", for=203.0.113.9;proto=https'), '203.0.113.9', 'https', 'inner'],
  ['an escape', f('for="203\\.0.113.9"'), '10.0.0.1', 'http', 'inner'],
  ['a parameter twice', f('for=203.0.113.9;for=198.51.100.7'), '10.0.0.1', 'http', 'inner'],
  ['a malformed element', f('203.0.113.9'), '10.0.0.1', 'http', 'inner'],
  ['an empty element', f('for=203.0.113.9,'), '10.0.0.1', 'http', 'inner'],
  ['nothing', f(''), '10.0.0.1', 'http', 'inner'],
  ['forged X-Forwarded-*', x('198.51.100.7', 'https', 'evil'), '10.0.0.1', 'http', 'inner'],
];

for (const [family, rows] of [
  ['x-forwarded', xForwarded],
  ['forwarded', forwarded],
] as const) {
  describe(family, () => {
    for (const [what, headers, address, scheme, host] of rows) {
      test(what, () => {
        assert.deepEqual(seen(family, headers), { address, scheme, host });
        const direct = { address: '192.0.2.1', scheme: 'http', host: 'inner' };
        assert.deepEqual(
          seen(family, headers, '192.0.2.1'),
          direct,
          'from an untrusted address it is ignored',
        );
      });
    }
  });
}

test('reads what trusted proxies append, after any forged prefix', () => {
  const text = fc.string({
    unit: fc.constantFrom(...'ab1.,;="\\ :[]', 'for=', 'proto=', 'host=', '10.0.0.2'),
  });
  fc.assert(
    fc.property(text, (forged) => {
      const chain = 'for=203.0.113.9;proto=https;host=r.example, for=10.0.0.2;proto=http;host="middle:80"';
      const expected = { address: '203.0.113.9', scheme: 'https', host: 'r.example' };
      assert.deepEqual(seen('forwarded', f(`${forged}, ${chain}`)), expected);
      const list = x(
        `${forged}, 203.0.113.9, 10.0.0.2`,
        `${forged}, https, http`,
        `${forged}, r.example, middle:80`,
      );
      assert.deepEqual(seen('x-forwarded', list), expected);
    }),
  );
});

test('parses a header of the maximum length quickly', () => {
  for (const unit of [',', '"', ';', 'for=10.0.0.2,', '10.0.0.2,', 'a=', 'a=b;']) {
    const list = unit.repeat(16_384 / unit.length);
    const before = process.cpuUsage();
    seen('forwarded', f(list));
    seen('x-forwarded', x(list, list, list));
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 50_000, `${(user + system) / 1000} ms for ${unit}…`);
  }
});
