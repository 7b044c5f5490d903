import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

const SIZES: [string, number | undefined][] = [
  ['0', 0],
  ['1024', 1024],
  ['7B', 7],
  ['512KiB', 524_288],
  ['4MiB', 4_194_304],
  ['2GiB', 2 ** 31],
  ['1TiB', 2 ** 40],
  ['9007199254740991', undefined],
  ['999999999999999TiB', undefined],
  ['', undefined],
  ['MiB', undefined],
  ['-1', undefined],
  ['1.5MiB', undefined],
  ['4 MiB', undefined],
  ['4MB', undefined],
  ['4mib', undefined],
  ['4MiB\n', undefined],
  ['１', undefined],
];

const DURATIONS: [string, number | undefined][] = [
  ['500ms', 500],
  ['0s', 0],
  ['30s', 30_000],
  ['15m', 900_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['30', undefined],
  ['1h30m', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
  ['1S', undefined],
  ['1w', undefined],
  ['999999999999999d', undefined],
];

for (const [text, bytes] of SIZES) {
  test(`the size ${JSON.stringify(text)} is ${bytes ?? 'refused'}`, () => {
    assert.equal(parseSize(text), bytes);
  });
}

for (const [text, milliseconds] of DURATIONS) {
  test(`the duration ${JSON.stringify(text)} is ${milliseconds ?? 'refused'}`, () => {
    assert.equal(parseDuration(text), milliseconds);
  });
}

test('a formatted size or duration parses to the same number', () => {
  // Numbers have at most fifteen digits.
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999_999 }), (value) => {
      assert.equal(parseSize(formatSize(value)), value);
      assert.equal(parseDuration(formatDuration(value)), value);
    }),
  );
});

test('any text is parsed to a safe integer or rejected, and never throws', () => {
  const nearly = fc.stringMatching(/^[0-9 .+-]{0,20}(B|KiB|MB|ms|s|h|d)?$/);
  fc.assert(
    fc.property(fc.oneof(anyText(), nearly), (text) => {
      for (const value of [parseSize(text), parseDuration(text)]) {
        assert.ok(value === undefined || (Number.isSafeInteger(value) && value >= 0));
      }
    }),
  );
});

test('rejects a megabyte of digits quickly', () => {
  const start = performance.now();
  assert.equal(parseSize('9'.repeat(1_000_000)), undefined);
  assert.equal(parseDuration(`${'9'.repeat(1_000_000)}s`), undefined);
  assert.ok(performance.now() - start < 100);
});
