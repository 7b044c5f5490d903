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

test('a chain is read as it was written', () => {
  assert.deepEqual(parse(formatChain(segments)), segments);
  assert.equal(formatChain([]), '');
  assert.deepEqual(parse(''), []);
});

test('the upload has the first segments that have its size', () => {
  const text = formatChain(segments);
  assert.deepEqual(chainOf(upload(text, 0)), []);
  assert.deepEqual(chainOf(upload(text, 16 << 20)), segments.slice(0, 1));
  assert.deepEqual(chainOf(upload(text, (16 << 20) + 1)), segments.slice(0, 2));
});

for (const [what, staged, size] of [
  ['fewer bytes', formatChain(segments.slice(0, 2)), (16 << 20) + 2],
  ['no end where the upload ends', formatChain(segments), 5],
  ['nothing', '', 1],
  ["another store's text", '0123456789abcdef', 1],
] as const) {
  test(`a chain with ${what} is a lost upload`, () => {
    assert.throws(() => chainOf(upload(staged, size)), UploadLost);
  });
}

test('a checksum is in base64, highest byte first', () =>
  assert.equal(checksumHeader(0x01020304), 'AQIDBA=='));
