import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RegistryError } from './errors.ts';
import { parseStrictJson } from './json.ts';

const parse = (text: string): unknown => parseStrictJson(Buffer.from(text));

function refused(bytes: Uint8Array | string, why: RegExp): void {
  assert.throws(
    () => parseStrictJson(typeof bytes === 'string' ? Buffer.from(bytes) : bytes),
    (error) =>
      error instanceof RegistryError && error.code === 'MANIFEST_INVALID' && why.test(String(error.detail)),
  );
}

/** The fastest of three runs, in milliseconds of this thread's CPU time. */
function fastest(run: () => void): number {
  return Math.min(
    ...[1, 2, 3].map(() => {
      const start = process.threadCpuUsage();
      run();
      const { user, system } = process.threadCpuUsage(start);
      return (user + system) / 1000;
    }),
  );
}

const twice = [
  ['plainly', '{"a":1,"a":2}'],
  ['once escaped', String.raw`{"a":1,"\u0061":2}`],
  ['both escaped, in two ways', String.raw`{"\/":1,"\u002f":2}`],
  ['far apart', `{"a":1,${Array.from({ length: 1000 }, (_, i) => `"b${i}":{"a":[]}`).join(',')},"a":2}`],
  ['deep inside', '[{"x":[{"y":{"a":1,"b":{},"a":2}}]}]'],
  ['with spaces before the colon', '{"a" :1,"a"\n\t:2}'],
  ['as empty text', '{"":1,"":2}'],
  ['as surrogate pairs, one escaped', String.raw`{"😀":1,"\ud83d\ude00":2}`],
] as const;

for (const [how, text] of twice) {
  test(`a duplicate key, ${how}, is rejected`, () => refused(text, /occurs twice/));
}

test('the same key in different objects, or as a value, is accepted', () => {
  for (const text of ['[{"a":1},{"a":2}]', '{"a":{"a":{"a":"a"}}}', '["a","a"]', '{"a":"a","b":"a"}']) {
    assert.deepEqual(parse(text), JSON.parse(text));
  }
});

test('rejects the key __proto__ in every spelling, but accepts it as a value', () => {
  refused('{"__proto__":{}}', /__proto__/);
  refused(String.raw`{"a":{"\u005f_proto__":1}}`, /__proto__/);
  assert.deepEqual(parse('["__proto__",{"a":"__proto__"}]'), ['__proto__', { a: '__proto__' }]);
});

const notJson = [
  ['nothing', ''],
  ['a byte order mark', '\ufeff{}'],
  ['a trailing comma', '{"a":1,}'],
  ['a comment', '{}//'],
  ['two documents', '{}{}'],
  ['NaN', '{"a":NaN}'],
  ['a single quote', "{'a':1}"],
  ['a raw line break in a text', '"\n"'],
  ['an invalid escape', String.raw`{"\x61":1}`],
  ['a truncated escape', String.raw`{"\u00`],
  ['an unterminated string', '{"a'],
  ['a backslash at the end', '{"a\\'],
  ['excess closing brackets', '[]]]]'],
  ['brackets that cross', '[{]}'],
] as const;

for (const [what, text] of notJson) {
  test(`a document with ${what} is MANIFEST_INVALID`, () => refused(text, /not valid JSON/));
}

for (const [what, bytes] of [
  ['a byte that is never UTF-8', [0x22, 0xff, 0x22]],
  ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22]],
  ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
  ['a truncated character', [0x22, 0xe2, 0x82, 0x22]],
  ['UTF-16', [...Buffer.from('{}', 'utf16le')]],
] as const) {
  test(`a document with ${what} is MANIFEST_INVALID`, () =>
    refused(Uint8Array.from(bytes), /not valid JSON/));
}

test('accepts an escaped lone surrogate, which JSON allows', () => {
  assert.equal(parse(String.raw`"\ud800"`), '\ud800');
});

test('accepts 64 levels of nesting and rejects more', () => {
  assert.ok(parse('['.repeat(64) + ']'.repeat(64)));
  refused('['.repeat(65) + ']'.repeat(65), /nested deeper than 64/);
  refused(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`, /nested deeper than 64/);
  assert.ok(parse(`[[]${',[]'.repeat(500)}]`), 'adjacent brackets are not nested');
  assert.equal(parse(`"${'['.repeat(1000)}"`), '['.repeat(1000));
});

const exhausting: [string, string][] = [
  ['4 MiB of [', '['.repeat(4 << 20)],
  ['4 MiB of {"a":', '{"a":'.repeat((4 << 20) / 5)],
  ['10,000 nested objects', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
  ['4 MiB of {}', `[${'{},'.repeat(1_398_000)}{}]`],
  ['4 MiB of 0', `[${'0,'.repeat(2 << 20)}0]`],
  ['a million annotations', `{${Array.from({ length: 1_000_000 }, (_, i) => `"${i}":""`).join(',')}}`],
  ['a hundred thousand layers', `[${Array(100_000).fill('{"mediaType":"a","size":1}').join(',')}]`],
];

for (const [what, text] of exhausting) {
  test(`rejects ${what} within 250 ms of CPU time`, () => {
    const bytes = Buffer.from(text);
    const elapsed = fastest(() => refused(bytes, /nested deeper|more than 1/));
    assert.ok(elapsed < 250, `${elapsed} ms`);
  });
}

for (const [what, text] of [
  ['one string of 4 MiB', `"${'a'.repeat(4 << 20)}"`],
  ['4 MiB of escapes', `"${'\\u0061'.repeat(700_000)}"`],
  ['4 MiB of backslashes', `"${'\\\\'.repeat(2 << 20)}"`],
  ['4 MiB of spaces after a key', `{"a"${' '.repeat(4 << 20)}:1}`],
] as const) {
  test(`accepts ${what} within 250 ms of CPU time`, () => {
    const bytes = Buffer.from(text);
    const elapsed = fastest(() => void parseStrictJson(bytes));
    assert.ok(elapsed < 250, `${elapsed} ms`);
  });
}

test('reads back what JSON.stringify writes', () => {
  const value = fc.jsonValue({ maxDepth: 8 }).filter((json) => !JSON.stringify(json).includes('__proto__'));
  fc.assert(
    fc.property(value, fc.nat(4), (json, space) => {
      const text = JSON.stringify(json, undefined, space);
      assert.deepEqual(parse(text), JSON.parse(text));
    }),
  );
});

test("any bytes give JSON.parse's value or MANIFEST_INVALID", () => {
  const nearJson = fc.string({ unit: fc.constantFrom(...'{}[]",:\\ u0061ae1-.\n\u00e9'), maxLength: 40 });
  fc.assert(
    fc.property(
      fc.oneof(
        nearJson.map((text) => Buffer.from(text)),
        fc.uint8Array(),
      ),
      (bytes) => {
        try {
          assert.deepEqual(parseStrictJson(bytes), JSON.parse(Buffer.from(bytes).toString()));
        } catch (error) {
          assert.ok(error instanceof RegistryError && error.code === 'MANIFEST_INVALID', String(error));
        }
      },
    ),
    { numRuns: 5_000 },
  );
});
