import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import { formatAddress, isLoopback, parseAddress } from './address.ts';

const ADDRESSES: [string, { host: string; port: number } | undefined][] = [
  ['127.0.0.1:5000', { host: '127.0.0.1', port: 5000 }],
  ['localhost:0', { host: 'localhost', port: 0 }],
  ['registry.example.com:65535', { host: 'registry.example.com', port: 65_535 }],
  ['[::1]:5000', { host: '::1', port: 5000 }],
  ['[fe80::1%eth0]:5000', { host: 'fe80::1%eth0', port: 5000 }],
  ['127.0.0.1', undefined],
  ['127.0.0.1:', undefined],
  ['127.0.0.1:65536', undefined],
  ['127.0.0.1:-1', undefined],
  ['127.0.0.1:5000 ', undefined],
  [':5000', undefined],
  ['5000', undefined],
  ['::1:5000', undefined],
  ['[::1]', undefined],
  ['[localhost]:5000', undefined],
  // getaddrinfo reads these as 127.0.0.1, 0.0.0.0 and 127.0.0.1.
  ['127.1:5000', undefined],
  ['0:5000', undefined],
  ['2130706433:5000', undefined],
  ['127.0.0.256:5000', undefined],
  ['http://localhost:5000', undefined],
  ['a_b:5000', undefined],
  ['-a:5000', undefined],
  ['a..b:5000', undefined],
  [`${'a'.repeat(64)}:5000`, undefined],
  ['', undefined],
];

for (const [text, address] of ADDRESSES) {
  test(`the address ${JSON.stringify(text)} is ${address ? 'read' : 'refused'}`, () => {
    assert.deepEqual(parseAddress(text), address);
    if (address) assert.equal(formatAddress(address), text);
  });
}

for (const [host, expected] of [
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['0:0:0:0:0:0:0:1', true],
  ['::ffff:127.0.0.1', true],
  ['localhost', true],
  ['LOCALHOST', true],
  ['0.0.0.0', false],
  ['::', false],
  ['::ffff:10.0.0.1', false],
  ['fe80::1%eth0', false],
  ['192.168.1.10', false],
  ['localhost.example.com', false],
  ['berth', false],
] as const) {
  test(`${host} is ${expected ? '' : 'not '}loopback`, () => {
    assert.equal(isLoopback({ host, port: 5000 }), expected);
  });
}

test('parsing any text never throws, and a parsed address is the same after it is formatted and parsed again', () => {
  const host = fc.oneof(
    fc.ipV4(),
    fc.ipV4Extended(),
    fc.ipV6(),
    fc.ipV6().map((ip) => `[${ip}]`),
    fc.domain(),
  );
  const nearly = fc.tuple(host, fc.nat(70_000)).map(([host, port]) => `${host}:${port}`);
  fc.assert(
    fc.property(fc.oneof(anyText(), nearly), (text) => {
      const address = parseAddress(text);
      if (!address) return;
      assert.deepEqual(parseAddress(formatAddress(address)), address);
      assert.ok(address.port <= 65_535);
      assert.equal(typeof isLoopback(address), 'boolean');
    }),
  );
});

test('rejects a megabyte of text quickly', () => {
  const start = performance.now();
  for (const unit of ['a', 'a.', '-', '1', ':', '[']) {
    assert.equal(parseAddress(`${unit.repeat(1_000_000)}!:5000`), undefined);
  }
  assert.ok(performance.now() - start < 1000);
});
