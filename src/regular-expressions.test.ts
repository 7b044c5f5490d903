// No input makes a regular expression slow. The test finds all expressions in the sources, and times each with inputs made for it
// that are as long as its real input can be.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { leastCpuTime } from '../test/support/cpu-time.ts';
import { findExpressions, worstInputs } from '../test/support/expressions.ts';
import { parseContentRange, parseRange } from './http/range.ts';
import { asDigest } from './oci/digest.ts';
import { asAccountName, asName } from './oci/name.ts';
import { asTag } from './oci/reference.ts';
import { parseBlobKey } from './storage/blob-store.ts';
import { withoutSecrets } from './telemetry/redact-url.ts';
import { parseEntityTags } from './v2/conditions.ts';

interface Budget {
  /** Characters of the longest input. */
  readonly length: number;
  /** Milliseconds of this thread's processor time. */
  readonly limit: number;
}

/** The longest input outside of manifests is the URL and all headers of a request together. */
const usual: Budget = { length: 16 << 10, limit: 5 };
/**
 * Strings in a manifest (`oci/`) can be as long as the manifest, and parsing may hold the event loop as long as a request may.
 */
const manifest: Budget = { length: 4 << 20, limit: 50 };
/** Short ones first: an expression with exponential time would never finish the longer ones. */
const lengths = [16, 20, 24, 28, 32, 128, 1024, usual.length];

const root = new URL('.', import.meta.url);
const sources = globSync('**/*.ts', { cwd: root, exclude: (path) => path.endsWith('.test.ts') }).map(
  (path) => ({ path, text: readFileSync(new URL(path, root), 'utf8') }),
);

/** Why an expression is slow; `undefined` if it is fast for every input. */
function slownessOf(expression: RegExp, path = ''): string | undefined {
  const run = (text: string) => () => {
    // `replaceAll` and `matchAll` continue after each match.
    if (expression.global) text.replaceAll(expression, '');
    else expression.test(text);
  };
  const time = (inputs: ReturnType<typeof worstInputs>, length: number, limit: number) => {
    for (const input of inputs) {
      const text = input(length);
      const took = leastCpuTime(limit, run(text));
      if (took >= limit) return `${took} ms for ${JSON.stringify(text.slice(0, 20))}… (${text.length})`;
    }
    return undefined;
  };
  const inputs = worstInputs(expression);
  for (const length of lengths) {
    const slow = time(inputs, length, usual.limit);
    if (slow !== undefined) return slow;
  }
  if (!path.startsWith('oci/')) return undefined;
  return time(worstInputs(expression, true), manifest.length, manifest.limit);
}

test('the scan finds expressions in every position, and nothing else', () => {
  const source = [
    "const a = /a/g.test('/not/'), b = [/b[/]/, 1 / 2 / 3];",
    'if (c) return /c\\//u; // not /this/',
    'const d = `/not/ $' + '{e(/d/)} /not/ $' + '{`$' + '{{ f: /e/ }}`} /not/`;',
    'g(h) / i / j; k = l ? /f/ : m => /g/; /* /not/ */',
    '/h/.exec(n); x[0] / y / z;',
  ].join('\n');
  const found = findExpressions(source).map(({ expression, line }) => `${line} ${expression}`);
  assert.deepEqual(found, [
    ...['1 /a/g', '1 /b[/]/', '2 /c\\//u', '3 /d/', '3 /e/', '4 /f/', '4 /g/', '5 /h/'],
  ]);
});

for (const slow of [
  // From an earlier access log: one request could block the registry with it.
  /([?&;])([^=&;]*)=([^&;]*)/g,
  /^(a+)+$/,
  /^(?:[a-z]+\.?)*@/,
  /\s+$/,
  /^bytes=(\d+,?)*$/,
  /<[^>]*>/,
  /\/\*.*\*\//,
  /^x(?:a|aa)*$/,
]) {
  test(`the inputs made for ${slow} show that it is slow`, () => {
    assert.ok(slownessOf(slow) !== undefined);
  });
}

for (const { path, text } of sources) {
  for (const { expression, line } of findExpressions(text)) {
    test(`${path}:${line}: ${expression} is fast for every input`, () => {
      assert.equal(slownessOf(expression, path), undefined);
    });
  }
}

test('expressions are literals, which the scan can read', () => {
  for (const { path, text } of sources) {
    // The grammars of names are composed of parts; their parsers are measured below.
    assert.equal(
      text.split(/\bRegExp\(/).length - 1,
      path === 'oci/name.ts' ? 2 : 0,
      `${path} makes expressions that the scan cannot read`,
    );
  }
});

/** Long strings that nearly match Berth's grammars. */
const runs = [
  ...[
    'a',
    '0',
    '-',
    '.',
    ' ',
    ',',
    '"',
    '/',
    '%',
    '=',
    '?',
    '&',
    ';',
    '@',
    ':',
    '\t',
    'a-',
    'a.',
    'a__',
    'a/',
    'a:',
  ],
  ...['0-', '0,', '-,', ' ,', 'W/', '""', '?a', '&=', '//', '%3', 'token='],
];
const heads = ['', 'bytes=', 'sha256:', '"', 'http://', 'a', '/v2/?'];

for (const [name, parse, { length, limit }] of [
  ['asName', asName, manifest],
  ['asAccountName', asAccountName, manifest],
  ['asTag', asTag, manifest],
  ['asDigest', asDigest, manifest],
  ['parseBlobKey', parseBlobKey, usual],
  ['parseContentRange', parseContentRange, usual],
  ['parseEntityTags', parseEntityTags, usual],
  ['parseRange', (text: string) => parseRange(text, 1000), usual],
  ['withoutSecrets', withoutSecrets, usual],
] as const) {
  test(`${name} is fast for every input`, () => {
    for (const run of runs) {
      for (const head of heads) {
        const text = head + run.repeat(length / run.length);
        const took = leastCpuTime(limit, () => void parse(text));
        assert.ok(took < limit, `${took} ms for ${JSON.stringify(text.slice(0, 20))}… (${text.length})`);
      }
    }
  });
}
