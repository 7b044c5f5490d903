import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import type { HttpRequest } from '../http/request.ts';
import { nextLink, pageRequest } from './paging.ts';

/** The parts of a request that paging reads. */
function requestOf(query: string, path = '/v2/a/tags/list'): HttpRequest {
  return { path, query: new URLSearchParams(query) } as unknown as HttpRequest;
}

for (const [query, n, last] of [
  ['', 100, ''],
  ['n=5', 5, ''],
  ['n=0', 0, ''],
  ['n=007', 7, ''],
  ['n=1000', 1000, ''],
  ['last=v1', 100, 'v1'],
  ['n=5&last=a%2Fb', 5, 'a/b'],
  ['n=5&n=x', 5, ''],
  ["last=' or 1=1 --", 100, "' or 1=1 --"],
  // The list continues after the text before the NUL.
  ['last=v1%00x', 100, 'v1'],
  ['last=%00', 100, ''],
  // Over the limit of a page: the limit.
  ['n=1001', 1000, ''],
  ['n=2147483647', 1000, ''],
  ['n=999999999999999999', 1000, ''],
] as const) {
  test(`?${query} asks for ${n} after ${JSON.stringify(last)}`, () => {
    assert.deepEqual(pageRequest(requestOf(query), 100, 1000), { n, last });
  });
}

for (const n of [
  '',
  '-1',
  '+1',
  '1.5',
  '1e9',
  '0x10',
  'abc',
  ' 1',
  '1 ',
  '1\n',
  '٣',
  'NaN',
  '9'.repeat(19),
]) {
  test(`n=${JSON.stringify(n)} is PAGINATION_NUMBER_INVALID`, () => {
    const query = new URLSearchParams({ n }).toString();
    assert.throws(() => pageRequest(requestOf(query), 100, 1000), { code: 'PAGINATION_NUMBER_INVALID' });
  });
}

test('the link continues after the last item, keeps the filters, is a path, and is a valid header value', () => {
  fc.assert(
    fc.property(
      anyText().filter((last) => !last.includes('\0')),
      fc.string({ unit: 'grapheme' }),
      fc.nat(1000),
      (last, type, n) => {
        const link = nextLink('/v2/a/referrers/x', n, last, { artifactType: type });
        const [, target] = /^<([!-;=?-~]+)>; rel="next"$/.exec(link) ?? assert.fail(link);
        const url = new URL(target as string, 'http://registry');
        assert.ok(target?.startsWith('/v2/a/referrers/x?'));
        assert.equal(url.host, 'registry');
        // URLs, names, tags and digests have no lone surrogates.
        assert.deepEqual(
          [url.searchParams.get('last'), url.searchParams.get('artifactType')],
          [last.toWellFormed(), type.toWellFormed()],
        );
        assert.deepEqual(pageRequest({ query: url.searchParams } as HttpRequest, 1, 1000), {
          n,
          last: last.toWellFormed(),
        });
      },
    ),
  );
});
