import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseContentRange, parseRange } from './range.ts';

const whole = undefined;
const none = 'unsatisfiable';

/** RFC 9110, 14.1.2 and 14.2, of 1000 bytes: first and last byte of each range. */
const table: [string, [number, number][] | typeof whole | typeof none][] = [
  ['bytes=0-499', [[0, 499]]],
  ['bytes=500-999', [[500, 999]]],
  ['bytes=0-0', [[0, 0]]],
  ['bytes=999-999', [[999, 999]]],
  ['bytes=500-', [[500, 999]]],
  ['bytes=0-', [[0, 999]]],
  ['bytes=-500', [[500, 999]]],
  ['bytes=-1', [[999, 999]]],
  // Beyond the end: up to the end.
  ['bytes=0-1000', [[0, 999]]],
  ['bytes=900-999999999999999', [[900, 999]]],
  ['bytes=-1000', [[0, 999]]],
  ['bytes=-999999999999999', [[0, 999]]],
  // Several, in the order of the header; spaces are allowed around commas.
  [
    'bytes=0-0,-1',
    [
      [0, 0],
      [999, 999],
    ],
  ],
  [
    'bytes= 0-0 ,\t999-999 ',
    [
      [0, 0],
      [999, 999],
    ],
  ],
  [
    'bytes=500-600,601-999',
    [
      [500, 600],
      [601, 999],
    ],
  ],
  [
    'bytes=601-999,500-600',
    [
      [601, 999],
      [500, 600],
    ],
  ],
  ['BYTES=1-2', [[1, 2]]],
  ['bytes=0-999', [[0, 999]]],
  ['bytes=00000000000001-2', [[1, 2]]],
  // No overlap with the blob, or it ends before it starts.
  ['bytes=1000-', none],
  ['bytes=1000-2000', none],
  ['bytes=999999999999999-', none],
  ['bytes=-0', none],
  ['bytes=500-0', none],
  ['bytes=1000-1001,2000-', none],
  // One of several is unsatisfiable: a client that counts parts gets the whole.
  ['bytes=0-1,1000-', whole],
  ['bytes=500-0,0-1', whole],
  // More than the whole in total.
  ['bytes=0-,0-', whole],
  ['bytes=0-999,0-0', whole],
  // Not a byte range.
  ['', whole],
  ['bytes', whole],
  ['bytes=', whole],
  ['bytes=-', whole],
  ['bytes=,', whole],
  ['bytes=0-1,', whole],
  ['bytes=0-1,,2-3', whole],
  ['bytes=0', whole],
  ['bytes=0-1-2', whole],
  ['bytes=--1', whole],
  ['bytes=-1-', whole],
  ['bytes=a-b', whole],
  ['bytes=0x1-2', whole],
  ['bytes=1e1-20', whole],
  ['bytes=1.0-2', whole],
  ['bytes=+1-2', whole],
  ['bytes=0 - 1', whole],
  ['bytes =0-1', whole],
  [' bytes=0-1', whole],
  ['bytes 0-1', whole],
  ['bytes: 0-1', whole],
  ['lines=0-1', whole],
  ['bytes=0-1;2-3', whole],
  ['bytes=٠-١', whole],
  ['bytes=0-1\n', [[0, 1]]],
  // Numbers beyond 15 digits are not exact.
  ['bytes=0-9999999999999999', whole],
  ['bytes=-99999999999999999999999999', whole],
];

for (const [header, expected] of table) {
  test(`Range: ${JSON.stringify(header)} of 1000 bytes`, () => {
    const ranges = Array.isArray(expected) ? expected.map(([start, end]) => ({ start, end })) : expected;
    assert.deepEqual(parseRange(header, 1000), ranges);
  });
}

test('every range of an empty blob is ignored', () => {
  for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1', 'bytes=-0', 'bytes=5-', 'bytes=0-0,-1']) {
    assert.equal(parseRange(header, 0), whole);
  }
});

test('256 ranges are served; with one more the header is ignored', () => {
  const ranges = (count: number): string => `bytes=${Array.from({ length: count }, (_, i) => `${i}-${i}`)}`;
  assert.equal(parseRange(ranges(256), 1000)?.length, 256);
  assert.equal(parseRange(ranges(257), 1000), whole);
});

test('a header over the length limit is ignored, not cut in the middle of a number', () => {
  const padding = ' '.repeat(16_384);
  assert.equal(parseRange(`bytes=0-1,${padding}20-999`, 1000), whole);
});

test('ranges lie within the blob, in the order of the header, and in total do not exceed it', () => {
  const number = fc.oneof(fc.nat(30), fc.constant(''), fc.maxSafeNat());
  const part = fc.tuple(number, number).map(([first, last]) => `${first}-${last}`);
  const header = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => `bytes=${parts.join(',')}`);
  fc.assert(
    fc.property(fc.oneof(header, fc.string()), fc.nat(25), (text, size) => {
      const ranges = parseRange(text, size);
      if (ranges === whole || ranges === none) return;
      let total = 0;
      for (const { start, end } of ranges) {
        assert.ok(0 <= start && start <= end && end < size);
        total += end - start + 1;
      }
      assert.ok(total <= size);
    }),
    { numRuns: 3_000 },
  );
});

/** The spec's form is `<first>-<last>`; some clients send HTTP's. */
for (const [header, expected] of [
  ['0-0', [0, 0]],
  ['5-9', [5, 9]],
  [' 5-9 ', [5, 9]],
  ['bytes 5-9', [5, 9]],
  ['bytes 5-9/10', [5, 9]],
  ['bytes 5-9/*', [5, 9]],
  ['0-999999999999999', [0, 999_999_999_999_999]],
  ['', undefined],
  ['9-5', undefined],
  ['5', undefined],
  ['5-', undefined],
  ['-5', undefined],
  ['bytes=5-9', undefined],
  ['bytes */10', undefined],
  ['5-9,10-11', undefined],
  ['0x5-0x9', undefined],
  ['5 - 9', undefined],
  ['5-9/', undefined],
  ['0-9999999999999999', undefined],
  [`0-${'1'.repeat(100)}`, undefined],
] as const) {
  test(`Content-Range: ${JSON.stringify(header.slice(0, 30))}`, () => {
    assert.deepEqual(parseContentRange(header), expected && { first: expected[0], last: expected[1] });
  });
}

test('a formatted Content-Range parses back to the same chunk', () => {
  const offset = fc.nat(999_999_999);
  fc.assert(
    fc.property(offset, offset, (first, length) => {
      assert.deepEqual(parseContentRange(`${first}-${first + length}`), { first, last: first + length });
    }),
  );
});
