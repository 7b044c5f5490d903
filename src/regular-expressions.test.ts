import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseContentRange, parseRange } from './http/range.ts';
import { asDigest } from './oci/digest.ts';
import { asAccountName, asName } from './oci/name.ts';
import { asTag } from './oci/reference.ts';
import { parseBlobKey } from './storage/blob-store.ts';
import { parseEntityTags } from './v2/conditions.ts';

/** Milliseconds; an expression that backtracks exponentially takes seconds for the shortest of the inputs below. */
const limit = 5;

/** A regular expression literal stands where a value may: after an operator, a bracket, a comma or `return`. */
const literal =
  /(?:[=(,:!&|?{;[]|\breturn|=>)\s*\/((?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([a-z]*)/g;

const root = new URL('.', import.meta.url);
const sources = globSync('**/*.ts', { cwd: root, exclude: (path) => path.endsWith('.test.ts') }).map(
  (path) => ({
    path,
    text: readFileSync(new URL(path, root), 'utf8').replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, ''),
  }),
);
const found = sources.flatMap(({ path, text }) =>
  [...text.matchAll(literal)].map(([, source = '', flags]) => ({
    path,
    expression: new RegExp(source, flags),
  })),
);

/** What breaks expressions: long runs that nearly match, of all characters that Berth's grammars are made of. */
function pathological(): string[] {
  const units = ['a', '0', '-', '_', '.', ' ', ',', '"', '/', '%', '=', ':', ';', '<', '\\', '\t', '\n'];
  const pairs = [
    'a-',
    'a.',
    'a_',
    'a__',
    'a/',
    'a:',
    '0-',
    '0,',
    '-,',
    ' ,',
    'a=',
    'a;',
    'W/',
    '""',
    'aA',
    '1.',
    '::',
  ];
  // A header or a URL has at most 16 KiB.
  const runs = [...units, ...pairs].map((unit) => unit.repeat(16_384 / unit.length));
  const short = [...units, ...pairs].map((unit) => unit.repeat(64));
  return [...runs, ...short].flatMap((run) =>
    ['', 'bytes=', 'sha256:', '"', 'http://', 'a'].flatMap((head) => [`${head}${run}`, `${head}${run}!`]),
  );
}

const inputs = pathological();

/** The best of some runs: what the machine does meanwhile is not the expression's fault. */
function milliseconds(run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5 && best >= limit; i++) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

test('the scan finds the expressions: every file that runs one has one, and they are made of literals', () => {
  assert.ok(found.length >= 10, `only ${found.length} found`);
  for (const { path, text } of sources) {
    const made = text.split('new RegExp(').length - 1;
    // The grammars of names are put together from a component; their parsers are measured below.
    assert.equal(made, path === 'oci/name.ts' ? 2 : 0, `${path} makes expressions that the scan cannot read`);
  }
});

for (const { path, expression } of found) {
  test(`${path}: ${expression} takes no time for any input`, () => {
    for (const input of inputs) {
      const elapsed = milliseconds(() => {
        expression.lastIndex = 0;
        expression.test(input);
      });
      assert.ok(
        elapsed < limit,
        `${elapsed} ms for ${JSON.stringify(input.slice(0, 20))}… (${input.length})`,
      );
    }
  });
}

for (const [name, parse] of Object.entries({
  asName,
  asAccountName,
  asTag,
  asDigest,
  parseBlobKey,
  parseContentRange,
  parseEntityTags,
  parseRange: (text: string) => parseRange(text, 1000),
})) {
  test(`${name} takes no time for any input`, () => {
    for (const input of [...inputs, 'a-'.repeat(500_000), 'bytes=0-1,'.repeat(1_600)]) {
      const elapsed = milliseconds(() => void parse(input));
      assert.ok(
        elapsed < limit,
        `${elapsed} ms for ${JSON.stringify(input.slice(0, 20))}… (${input.length})`,
      );
    }
  });
}
