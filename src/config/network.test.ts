import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatNetwork, parseNetwork } from './network.ts';

const NETWORKS: [text: string, formatted: string | undefined][] = [
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['192.0.2.7', '192.0.2.7'],
  ['192.0.2.7/32', '192.0.2.7'],
  ['fd00::/8', 'fd00::/8'],
  ['::/0', '::/0'],
  ['::1', '::1'],
  ['::1/128', '::1'],
  ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
  ['', undefined],
  ['/8', undefined],
  ['10.0.0.0/', undefined],
  ['10.0.0.0/33', undefined],
  ['10.0.0.0/08', undefined],
  ['10.0.0.0/-1', undefined],
  ['10.0.0.0/8/8', undefined],
  ['10.0.0.0/255.0.0.0', undefined],
  ['10.0.0/8', undefined],
  ['10.0.0.256', undefined],
  ['fd00::/129', undefined],
  ['[fd00::1]', undefined],
  ['fe80::1%eth0', undefined],
  ['fe80::1%eth0/64', undefined],
  ['localhost', undefined],
  [' 10.0.0.0/8', undefined],
];

for (const [text, formatted] of NETWORKS) {
  test(`${JSON.stringify(text)} is ${formatted === undefined ? 'no network' : formatted}`, () => {
    const network = parseNetwork(text);
    assert.equal(network && formatNetwork(network), formatted);
  });
}

test('BlockList accepts every parsed network, and parsing never throws', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string());
  const text = fc.oneof(
    address,
    fc.tuple(address, fc.integer()).map(([address, prefix]) => `${address}/${prefix}`),
  );
  fc.assert(
    fc.property(text, (text) => {
      const network = parseNetwork(text);
      if (!network) return;
      const list = new BlockList();
      list.addSubnet(network.address, network.prefix, network.family);
      assert.ok(list.check(network.address, network.family));
      assert.deepEqual(parseNetwork(formatNetwork(network)), network);
    }),
  );
});
