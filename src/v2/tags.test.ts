// end-8: tags and their pages.

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Answer, assertError, type Client, connect, nextOf } from '../../test/support/inject.ts';

// In the order of bytes: '-' < '.' < digits < capitals < '_' < small letters.
const ordered = [
  '1',
  '1-a',
  '1.0',
  '10',
  '2',
  'A',
  'V1',
  '_x',
  'a',
  'a-b',
  'a.b',
  'a0',
  'aB',
  'a_b',
  'ab',
  'v1',
  'v1-a',
  'v1.0',
  'v10',
];

async function connectWithTags(t: Parameters<typeof connect>[0], tags = ordered): Promise<Client> {
  const registry = await connect(t);
  const image = await registry.image('a/b');
  for (const tag of [...tags].reverse()) await registry.pushManifest('a/b', image, tag);
  return registry;
}

function tagsOf(answer: Answer): string[] {
  return answer.json<{ tags: string[] }>().tags;
}

test('end-8: all tags, in the order of bytes', async (t) => {
  const registry = await connectWithTags(t);
  const answer = await registry.get('/v2/a/b/tags/list');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.equal(answer.headers.link, undefined);
  assert.deepEqual(answer.json(), { name: 'a/b', tags: ordered });
});

test('end-8: a repository without tags has an empty list, one that does not exist is 404', async (t) => {
  const registry = await connect(t);
  await registry.pushImage('a');
  assert.deepEqual((await registry.get('/v2/a/tags/list')).json(), { name: 'a', tags: [] });
  assertError(await registry.get('/v2/nobody/here/tags/list'), 404, 'NAME_UNKNOWN');
  assertError(await registry.get('/v2/nobody/here/tags/list?n=0'), 404, 'NAME_UNKNOWN');
});

test('end-8, C11: pages of every size list each tag once and end', async (t) => {
  const registry = await connectWithTags(t);
  for (let n = 1; n <= ordered.length + 1; n++) {
    await t.test(`n=${n}`, async () => {
      const pages = await registry.walk(`/v2/a/b/tags/list?n=${n}`);
      assert.deepEqual(pages.flatMap(tagsOf), ordered);
      // A page has n tags unless it is the last, and the last has no Link.
      assert.equal(pages.length, Math.ceil(ordered.length / n));
      for (const page of pages) assert.equal(page.json().name, 'a/b');
    });
  }
});

test('end-8: Link is a path, keeps n, and names the last tag of the page', async (t) => {
  const registry = await connectWithTags(t);
  const next = new URL(nextOf(await registry.get('/v2/a/b/tags/list?n=2')) ?? '', 'http://localhost');
  assert.equal(next.pathname, '/v2/a/b/tags/list');
  assert.equal(next.searchParams.get('n'), '2');
  assert.equal(next.searchParams.get('last'), ordered[1]);
});

test('end-8: n=0 is an empty list without Link', async (t) => {
  const registry = await connectWithTags(t);
  for (const query of ['?n=0', '?n=0&last=a']) {
    const answer = await registry.get(`/v2/a/b/tags/list${query}`);
    assert.equal(answer.status, 200);
    assert.deepEqual(tagsOf(answer), []);
    assert.equal(answer.headers.link, undefined);
  }
});

test('end-8: last is exclusive and need not exist', async (t) => {
  const registry = await connectWithTags(t);
  for (const last of [
    ...ordered,
    '',
    '0',
    'A0',
    'B',
    'a-',
    'zzz',
    '~',
    '\u4e2d',
    '\u0000',
    '../..',
    '%',
    "'",
    'x'.repeat(5000),
  ]) {
    await t.test(JSON.stringify(last.slice(0, 20)), async () => {
      const expected = ordered.filter((tag) => Buffer.compare(Buffer.from(tag), Buffer.from(last)) > 0);
      assert.deepEqual(await registry.tags('a/b', `?last=${encodeURIComponent(last)}`), expected);
      const first = await registry.get(`/v2/a/b/tags/list?n=3&last=${encodeURIComponent(last)}`);
      assert.deepEqual(tagsOf(first), expected.slice(0, 3));
      assert.equal(nextOf(first) !== undefined, expected.length > 3);
    });
  }
});

test('C11: an n over the limit is reduced to it', async (t) => {
  const registry = await connectWithTags(t);
  for (const n of ['20', '10000', '2147483647', '1000000000', '9007199254740993']) {
    assert.deepEqual(await registry.tags('a/b', `?n=${n}`), ordered, n);
  }
});

test('C11: an invalid n is 400', async (t) => {
  const registry = await connectWithTags(t);
  for (const n of ['-1', 'abc', '1.5', '1e3', '0x10', '-0', '+1', '1 ', '٣', 'NaN', 'Infinity']) {
    const answer = await registry.get(`/v2/a/b/tags/list?n=${encodeURIComponent(n)}`);
    assertError(answer, 400, 'PAGINATION_NUMBER_INVALID');
  }
});

test('C12: a long list without n is paged, and following Link finds every tag', async (t) => {
  const registry = await connect(t);
  const image = await registry.image('a');
  const digest = (await registry.pushManifest('a', image)).digest;
  const tags = Array.from({ length: 2100 }, (_, i) => `t${String(i).padStart(4, '0')}`);
  for (let i = 0; i < tags.length; i += 10) {
    const query = new URLSearchParams(tags.slice(i, i + 10).map((tag) => ['tag', tag]));
    assert.equal((await registry.putManifest('a', `${digest}?${query}`, image)).status, 201);
  }
  assert.deepEqual((await registry.walk('/v2/a/tags/list')).flatMap(tagsOf), tags);
  assert.deepEqual((await registry.walk('/v2/a/tags/list?n=1000')).flatMap(tagsOf), tags);
});
