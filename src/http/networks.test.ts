import assert from 'node:assert/strict';
import { test } from 'node:test';
import { membership } from './networks.ts';

const isMember = membership([
  { address: '10.0.0.0', prefix: 8, family: 'ipv4' },
  { address: '192.0.2.7', prefix: 32, family: 'ipv4' },
  { address: 'fd00::', prefix: 8, family: 'ipv6' },
]);

for (const [address, expected] of [
  ['10.255.0.1', true],
  ['11.0.0.1', false],
  ['192.0.2.7', true],
  ['192.0.2.8', false],
  ['::ffff:10.1.2.3', true],
  ['::ffff:11.1.2.3', false],
  ['fd12::1', true],
  ['fe80::1', false],
] as const) {
  test(`${address} is ${expected ? '' : 'not '}in the networks`, () =>
    assert.equal(isMember(address), expected));
}

test('without networks no address is a member', () => assert.equal(membership([])('10.0.0.1'), false));
