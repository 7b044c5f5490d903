import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { takePage } from './page.ts';

const sorted = ['a', 'b', 'c', 'd'];
const list = async (after: string, limit: number) => sorted.filter((item) => item > after).slice(0, limit);

for (const [last, n, items, more] of [
  ['', 2, ['a', 'b'], true],
  ['b', 2, ['c', 'd'], false],
  ['', 4, ['a', 'b', 'c', 'd'], false],
  ['', 3, ['a', 'b', 'c'], true],
  ['bb', 9, ['c', 'd'], false],
  ['d', 1, [], false],
  ['', 0, [], false],
] as const) {
  test(`a page of ${n} after ${JSON.stringify(last)} in a list of four`, async () => {
    assert.deepEqual(await takePage({ last, n }, list), { items, more });
  });
}

test('a page of 0 items makes no query', async () => {
  await takePage({ last: '', n: 0 }, () => assert.fail('asked'));
});

test('pages of every size give each item once, in order', async () => {
  const items = fc.uniqueArray(fc.string({ minLength: 1 })).map((all) => all.sort());
  await fc.assert(
    fc.asyncProperty(items, fc.integer({ min: 1, max: 5 }), async (all, n) => {
      const walked: string[] = [];
      for (let more = true; more; ) {
        const page = await takePage({ last: walked.at(-1) ?? '', n }, async (after, limit) =>
          all.filter((item) => item > after).slice(0, limit),
        );
        assert.ok(page.items.length <= n);
        walked.push(...page.items);
        more = page.more;
      }
      assert.deepEqual(walked, all);
    }),
  );
});
