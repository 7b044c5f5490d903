import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { baseUrlOf, type Client, clientsOf } from './client.ts';
import type { Network } from './networks.ts';

const proxies: Network[] = [
  { address: '10.0.0.0', prefix: 8, family: 'ipv4' },
  { address: 'fd00::', prefix: 8, family: 'ipv6' },
];

type Headers = Record<string, string>;

function seen(peer: string | undefined, headers: Headers, trusted = proxies, encrypted = false): Client {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: peer });
  if (encrypted) Object.assign(socket, { encrypted });
  const request = new IncomingMessage(socket);
  Object.assign(request.headers, headers);
  const { address, scheme, host } = clientsOf(trusted)(request);
  return { address, scheme, host };
}

function addressOf(peer: string | undefined, forwarded?: string, trusted = proxies): string {
  return seen(peer, forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }, trusted).address;
}

describe('without a trusted proxy', () => {
  for (const [peer, address] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    [undefined, ''],
  ] as const) {
    test(`a connection from ${peer} has the address ${address || 'unknown'}`, () => {
      assert.equal(addressOf(peer), address);
      assert.equal(addressOf(peer, undefined, []), address);
    });
  }

  test('forwarding headers are ignored', () => {
    const headers = {
      host: 'registry.example',
      'x-forwarded-for': '203.0.113.9',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.example',
    };
    const direct = { address: '192.0.2.1', scheme: 'http', host: 'registry.example' };
    assert.deepEqual(seen('192.0.2.1', headers), direct);
    assert.deepEqual(seen('192.0.2.1', headers, []), direct);
    assert.deepEqual(seen('10.0.0.1', headers, []), { ...direct, address: '10.0.0.1' });
  });

  test('the scheme is https on a TLS connection', () => {
    assert.equal(seen('192.0.2.1', { 'x-forwarded-proto': 'http' }, proxies, true).scheme, 'https');
  });
});

describe('behind a trusted proxy', () => {
  for (const [what, forwarded, address] of [
    ['the sender that the proxy names', '203.0.113.9', '203.0.113.9'],
    ['not an earlier sender that the client claims', '198.51.100.7, 203.0.113.9', '203.0.113.9'],
    ['that sender, also when it claims to be a proxy', '198.51.100.7, 10.0.0.5, 203.0.113.9', '203.0.113.9'],
    ['the sender before all trusted proxies', '198.51.100.7, 203.0.113.9,10.0.0.5 , fd00::7', '203.0.113.9'],
    ['the farthest proxy, when all are trusted', '10.0.0.9, 10.0.0.5', '10.0.0.9'],
    ['an address with a port', '203.0.113.9:4711', '203.0.113.9'],
    ['IPv6 in brackets', '[2001:db8::1]', '2001:db8::1'],
    ['IPv6 in brackets with a port', '[2001:db8::1]:4711', '2001:db8::1'],
    ['IPv6 without brackets', '2001:db8::1', '2001:db8::1'],
    ['an IPv4-mapped address', '::ffff:203.0.113.9', '203.0.113.9'],
    ['the sender before an IPv4-mapped trusted proxy', '203.0.113.9, ::ffff:10.0.0.5', '203.0.113.9'],
    ['an address without its zone', 'fe80::1%eth0', 'fe80::1'],
    ['the proxy, without the header', undefined, '10.0.0.1'],
    ['the proxy, when the header is empty', '', '10.0.0.1'],
    ['the proxy, when the last entry is unreadable', '203.0.113.9, unknown', '10.0.0.1'],
    ['the entry right of an unreadable one', '203.0.113.9, _hidden, 10.0.0.5', '10.0.0.5'],
    ['the proxy, when text follows the address', '203.0.113.9; drop table', '10.0.0.1'],
    ['the proxy, when the address is invalid', '203.0.113.999', '10.0.0.1'],
    ['the proxy, when the last entry is empty', '203.0.113.9,,', '10.0.0.1'],
  ] as const) {
    test(`the client is ${what}`, () => assert.equal(addressOf('10.0.0.1', forwarded), address));
  }

  test('the proxy may connect with IPv6, or with IPv4 to a dual-stack listener', () => {
    assert.equal(addressOf('fd00::1', '203.0.113.9'), '203.0.113.9');
    assert.equal(addressOf('::ffff:10.0.0.1', '203.0.113.9'), '203.0.113.9');
  });

  for (const [what, headers, scheme, host] of [
    [
      'the forwarded ones',
      { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'r.example:8443' },
      'https',
      'r.example:8443',
    ],
    ['recognised in upper case', { 'x-forwarded-proto': 'HTTPS' }, 'https', 'inner'],
    [
      'the last of several',
      { 'x-forwarded-proto': 'http, https', 'x-forwarded-host': 'evil, r.example' },
      'https',
      'r.example',
    ],
    ['not an invalid scheme', { 'x-forwarded-proto': 'javascript' }, 'http', 'inner'],
    ['not an invalid host', { 'x-forwarded-host': 'a"b' }, 'http', 'inner'],
    ['those of the connection without the headers', {}, 'http', 'inner'],
  ] as const) {
    test(`scheme and host are ${what}`, () => {
      const client = seen('10.0.0.1', { host: 'inner', ...headers });
      assert.deepEqual([client.scheme, client.host], [scheme, host]);
    });
  }

  test('for any headers the address is valid or empty, and the host needs no escape in a quoted header value', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (list, host) => {
        const client = seen('10.0.0.1', { 'x-forwarded-for': list, 'x-forwarded-host': host });
        assert.match(client.address, /^[\da-fA-F:.]+$/);
        assert.match(client.host ?? '', /^[\w.:[\]-]*$/);
      }),
    );
  });
});

for (const host of [
  'registry.example',
  'registry.example:5000',
  'localhost',
  '127.0.0.1:1',
  '[::1]:5000',
  '[2001:db8::1]',
  'a_b',
  'a.b.',
]) {
  test(`${host} is a valid host`, () => assert.equal(seen('192.0.2.1', { host }).host, host));
}

for (const host of [
  '',
  'user@host',
  'user:pass@host',
  'a b',
  'a/b',
  'a?b',
  'a#b',
  'a"',
  'a\\b',
  "a'",
  'a,b',
  'a:',
  'a:b',
  'a:123456',
  'a:65536',
  '::1',
  '[::1',
  '[::g]',
  '[::1%eth0]',
  '.',
  '-a',
  'a-',
  'ä',
  '%41',
  'x'.repeat(300),
  '256.0.0.1',
  '1.2.3.4.5',
  'registry.0x',
]) {
  test(`${JSON.stringify(host.slice(0, 20))} is an invalid host`, () =>
    assert.equal(seen('192.0.2.1', { host }).host, undefined));
}

test('the base URL is the configured one, or else that of the request', () => {
  const client = seen('192.0.2.1', { host: 'registry.example:5000' });
  assert.equal(baseUrlOf(client, 'https://r.example/x'), 'https://r.example/x');
  assert.equal(baseUrlOf(client, undefined), 'http://registry.example:5000');
  assert.equal(baseUrlOf({ ...client, host: undefined }, undefined), undefined);
});
