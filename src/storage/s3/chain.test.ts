import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UploadLost } from '../blob-store.ts';
import { chainOf, checksumHeader, formatChain, newSegmentName, parse, type Segment } from './chain.ts';

const segments: Segment[] = [
  { name: newSegmentName(), size: 16 << 20, crc: 0xffffffff },
  { name: newSegmentName(), size: 1, crc: 0 },
  { name: newSegmentName(), size: 5 * 2 ** 40, crc: 17 },
];
const upload = (staged: string, size: number) => ({ id: 'u', size, staged });

test('parse returns what formatChain was given', () => {
  assert.deepEqual(parse(formatChain(segments)), segments);
  assert.equal(formatChain([]), '');
  assert.deepEqual(parse(''), []);
});

test('chainOf returns the first segments up to the size of the upload', () => {
  const text = formatChain(segments);
  assert.deepEqual(chainOf(upload(text, 0)), []);
  assert.deepEqual(chainOf(upload(text, 16 << 20)), segments.slice(0, 1));
  assert.deepEqual(chainOf(upload(text, (16 << 20) + 1)), segments.slice(0, 2));
});

for (const [what, staged, size] of [
  ['fewer bytes', formatChain(segments.slice(0, 2)), (16 << 20) + 2],
  ['no segment ending at the upload size', formatChain(segments), 5],
  ['nothing', '', 1],
  ["another store's text", '0123456789abcdef', 1],
] as const) {
  test(`throws UploadLost for a chain with ${what}`, () => {
    assert.throws(() => chainOf(upload(staged, size)), UploadLost);
  });
}

test('a checksum is base64, big-endian', () => assert.equal(checksumHeader(0x01020304), 'AQIDBA=='));
