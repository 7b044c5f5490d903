// end-2 and 2.3: ranges of a blob (RFC 9110, section 14), in the forms that resuming clients need.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { type Algorithm, type Answer, connect, unknownDigest } from '../../test/support/inject.ts';

const bytes = randomBytes(2048);

test('end-2: one range of a blob is 206 with exactly those bytes', async (t) => {
  const registry = await connect(t);
  const rows: [range: string, first: number, last: number][] = [
    ['bytes=500-1499', 500, 1499],
    ['bytes=0-0', 0, 0],
    ['bytes=0-', 0, 2047],
    ['bytes=500-', 500, 2047],
    ['bytes=2047-', 2047, 2047],
    ['bytes=-500', 1548, 2047],
    ['bytes=-1', 2047, 2047],
    ['bytes=-5000', 0, 2047],
    ['bytes=2000-5000', 2000, 2047],
    ['bytes=0-2047', 0, 2047],
    ['bytes=0-999999999999999', 0, 2047],
    ['bytes=-999999999999999', 0, 2047],
  ];
  for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
    const digest = await registry.pushBlob('a', bytes, algorithm);
    for (const [range, first, last] of rows) {
      await t.test(`${range}, ${algorithm}`, async () => {
        const answer = await registry.get(`/v2/a/blobs/${digest}`, { range });
        assert.equal(answer.status, 206);
        assert.ok(answer.body.equals(bytes.subarray(first, last + 1)), 'other bytes than the range');
        assert.equal(answer.headers['content-range'], `bytes ${first}-${last}/2048`);
        assert.equal(answer.headers['content-length'], String(last - first + 1));
        assert.equal(answer.headers['content-type'], 'application/octet-stream');
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
        assert.equal(answer.headers['docker-content-digest'], digest);
        assert.equal(answer.headers.etag, `"${digest}"`);
      });
    }
  }
});

test('2.3: an unsatisfiable range is 416 with the size', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', bytes);
  const ranges = [
    'bytes=2048-',
    'bytes=5000-10000',
    'bytes=-0',
    'bytes=999999999999999-',
    'bytes=5000-6000,7000-8000',
    // Invalid and not merely unsatisfiable; the conformance suite expects 416 anyway.
    'bytes=500-0',
  ];
  for (const range of ranges) {
    await t.test(range, async () => {
      const answer = await registry.get(`/v2/a/blobs/${digest}`, { range });
      assert.equal(answer.status, 416);
      assert.equal(answer.headers['content-range'], 'bytes */2048');
    });
  }
});

test('RFC 9110 14.2: a range of an empty blob is ignored, as some clients always send one', async (t) => {
  const registry = await connect(t);
  const empty = await registry.pushBlob('a', '');
  for (const range of ['bytes=0-', 'bytes=-1', 'bytes=0-0', 'bytes=-0', 'bytes=5-', 'bytes=0-0,-1']) {
    const { status, headers, body } = await registry.get(`/v2/a/blobs/${empty}`, { range });
    assert.deepEqual([status, headers['content-length'], body.length], [200, '0', 0], range);
    assert.equal(headers['content-range'], undefined, range);
  }
});

test('RFC 9110 14.2: an invalid Range is ignored', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', bytes);
  for (const range of [
    'items=0-9',
    'bytes 0-9',
    '0-9',
    'bytes=0-99999999999999999999',
    'bytes=99999999999999999999-',
  ]) {
    await t.test(range, async () => assertWhole(await registry.get(`/v2/a/blobs/${digest}`, { range })));
  }
});

test('RFC 9110 14.2: a HEAD ignores Range', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', bytes);
  const head = await registry.head(`/v2/a/blobs/${digest}`, { range: 'bytes=0-9' });
  assert.equal(head.status, 200);
  assert.equal(head.headers['content-length'], '2048');
});

test('RFC 9110 13.1.5: If-Range', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', bytes);
  const matching = { range: 'bytes=0-9', 'if-range': `"${digest}"` };
  assert.equal((await registry.get(`/v2/a/blobs/${digest}`, matching)).status, 206);
  for (const validator of [`"${unknownDigest}"`, `W/"${digest}"`, 'Wed, 21 Oct 2015 07:28:00 GMT']) {
    const answer = await registry.get(`/v2/a/blobs/${digest}`, { range: 'bytes=0-9', 'if-range': validator });
    assertWhole(answer);
  }
});

test('2.3: several ranges get the whole blob, or one part for each in the order of the header', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', bytes);
  const rows: [range: string, parts: [number, number][]][] = [
    [
      'bytes=0-9,100-109',
      [
        [0, 9],
        [100, 109],
      ],
    ],
    [
      'bytes=100-109, 0-9',
      [
        [100, 109],
        [0, 9],
      ],
    ],
    [
      'bytes=0-9,10-19',
      [
        [0, 9],
        [10, 19],
      ],
    ],
    [
      'bytes=0-99,50-149',
      [
        [0, 99],
        [50, 149],
      ],
    ],
    [
      'bytes=0-9,-10',
      [
        [0, 9],
        [2038, 2047],
      ],
    ],
    [
      'bytes=0-9,2040-',
      [
        [0, 9],
        [2040, 2047],
      ],
    ],
    [
      'bytes=0-9,0-9',
      [
        [0, 9],
        [0, 9],
      ],
    ],
  ];
  for (const [range, parts] of rows) {
    await t.test(range, async () => {
      const answer = await registry.get(`/v2/a/blobs/${digest}`, { range });
      if (answer.status === 200) assertWhole(answer);
      else assertParts(answer, parts);
    });
  }
});

test('a thousand ranges send no more bytes than the blob', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', bytes);
  const range = `bytes=${Array.from({ length: 1000 }, () => '0-').join(',')}`;
  const answer = await registry.get(`/v2/a/blobs/${digest}`, { range });
  assert.ok(answer.status === 200 || answer.status === 416, `answered ${answer.status}`);
  assert.ok(answer.body.length <= bytes.length);
});

function assertWhole(answer: Answer): void {
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-length'], '2048');
  assert.equal(answer.headers['content-range'], undefined);
  assert.ok(answer.body.equals(bytes), 'other bytes than the blob');
}

function assertParts(answer: Answer, expected: [number, number][]): void {
  assert.equal(answer.status, 206);
  assert.equal(answer.headers['content-range'], undefined);
  assert.equal(answer.headers['content-length'], String(answer.body.length));
  const boundary = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(
    answer.headers['content-type'] ?? '',
  )?.[1];
  assert.ok(boundary, `no boundary in ${answer.headers['content-type']}`);
  const sections = answer.body.toString('latin1').split(`--${boundary}`);
  assert.match(sections.at(-1)!, /^--\r?\n?$/, 'the last boundary is not closed');
  const parts = sections.slice(1, -1);
  assert.equal(parts.length, expected.length, 'not one part for each range');
  for (const [i, [first, last]] of expected.entries()) {
    const [head = '', ...rest] = parts[i]!.split('\r\n\r\n');
    assert.match(head, new RegExp(`content-range: bytes ${first}-${last}/2048`, 'i'));
    const body = rest.join('\r\n\r\n').replace(/\r\n$/, '');
    assert.ok(
      Buffer.from(body, 'latin1').equals(bytes.subarray(first, last + 1)),
      `part ${i} has other bytes`,
    );
  }
}
