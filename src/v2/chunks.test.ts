// end-5, end-6 and R16: chunks in order and out of order.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import test from 'node:test';
import {
  type Algorithm,
  assertError,
  type Client,
  connect,
  digestOf,
  locationOf,
} from '../../test/support/inject.ts';

const bytes = randomBytes(3000);

test('end-5: chunks with Content-Range in order form the blob', async (t) => {
  const registry = await connect(t);
  for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
    for (const lastInPut of [false, true]) {
      await t.test(`${algorithm}, last chunk by ${lastInPut ? 'PUT' : 'PATCH'}`, async () => {
        let location = await registry.openUpload('a');
        for (const [first, last] of lastInPut
          ? [
              [0, 1023],
              [1024, 2047],
            ]
          : [
              [0, 1023],
              [1024, 2047],
              [2048, 2999],
            ]) {
          const answer = await registry.patch(location, bytes.subarray(first, last! + 1), `${first}-${last}`);
          assert.equal(answer.status, 202);
          assert.equal(answer.headers.range, `0-${last}`);
          location = locationOf(answer);
        }
        const digest = digestOf(bytes, algorithm);
        const answer = lastInPut
          ? await registry.finish(location, digest, bytes.subarray(2048), { 'content-range': '2048-2999' })
          : await registry.finish(location, digest);
        assert.equal(answer.status, 201, answer.body.toString());
        assert.deepEqual((await registry.get(`/v2/a/blobs/${digest}`)).body, bytes);
      });
    }
  }
});

test('end-5: chunks without Content-Range are appended', async (t) => {
  const registry = await connect(t);
  let location = await registry.openUpload('a');
  for (const [first, end] of [
    [0, 1],
    [1, 1500],
    [1500, 1500],
    [1500, 2999],
  ] as const) {
    const answer = await registry.patch(
      location,
      Readable.from(end > first ? [bytes.subarray(first, end)] : []),
    );
    assert.equal(answer.status, 202);
    assert.equal(answer.headers.range, `0-${end - 1}`);
    location = locationOf(answer);
  }
  assert.equal((await registry.finish(location, digestOf(bytes), bytes.subarray(2999))).status, 201);
});

test('end-5: accepts Content-Range in the HTTP form, with unit and total', async (t) => {
  const registry = await connect(t);
  const location = await registry.openUpload('a');
  assert.equal((await registry.patch(location, 'abcde', 'bytes 0-4/10')).status, 202);
  assert.equal((await registry.patch(location, 'fghij', 'bytes 5-9/*')).headers.range, '0-9');
  assert.equal((await registry.finish(location, digestOf('abcdefghij'))).status, 201);
});

test('R16: a first chunk that does not start at 0 is 416', async (t) => {
  const registry = await connect(t);
  for (const range of ['5-9', '1-5', '1000000000-1000000004', '99999999999999999999-100000000000000000003']) {
    const location = await registry.openUpload('a');
    assertError(await registry.patch(location, 'abcde', range), 416, 'RANGE_INVALID');
    assert.equal((await registry.get(location)).headers.range, '0-0');
    await assertCompletes(registry, location, 'abcde', 0);
  }
});

test('R16: a chunk out of order is 416 and changes nothing', async (t) => {
  const registry = await connect(t);
  const rows: [what: string, range: string, body: string][] = [
    ['the first chunk again', '0-9', '0123456789'],
    ['an overlap', '5-14', '0123456789'],
    ['a gap', '11-20', '0123456789'],
    ['the end before the start', '10-9', '0123456789'],
    ['far ahead', '9007199254740993-9007199254741002', '0123456789'],
    ['a range longer than the body', '10-29', '0123456789'],
    ['a range shorter than the body', '10-14', '0123456789'],
    ['no number', 'x-y', '0123456789'],
    ['a negative start', '-1-9', '0123456789'],
    ['an open end', '10-', '0123456789'],
    ['another unit', 'items 10-19', '0123456789'],
    ['two ranges', '10-14,15-19', '0123456789'],
  ];
  for (const [what, range, body] of rows) {
    await t.test(`PATCH: ${what}`, async () => {
      const location = await registry.openUpload('a');
      await registry.patch(location, 'abcdefghij', '0-9');
      const answer = await registry.patch(location, body, range);
      assertError(answer, 416, 'RANGE_INVALID');
      // regclient continues from these two headers.
      assert.equal(answer.headers.range, '0-9');
      assert.equal((await registry.get(locationOf(answer))).headers.range, '0-9');
      await assertCompletes(registry, location, 'abcdefghij', 10);
    });
    await t.test(`PUT: ${what}`, async () => {
      const location = await registry.openUpload('a');
      await registry.patch(location, 'abcdefghij', '0-9');
      const answer = await registry.finish(location, digestOf('abcdefghijXYZ'), body, {
        'content-range': range,
      });
      assertError(answer, 416, 'RANGE_INVALID');
      assert.equal((await registry.get(location)).headers.range, '0-9');
      await assertCompletes(registry, location, 'abcdefghij', 10);
    });
  }
});

test('R16: a streamed chunk whose length differs from its range is 416 and changes nothing', async (t) => {
  const registry = await connect(t);
  for (const range of ['0-3', '0-9']) {
    const location = await registry.openUpload('a');
    assertError(
      await registry.patch(location, Readable.from([Buffer.from('abcde')]), range),
      416,
      'RANGE_INVALID',
    );
    assert.equal((await registry.get(location)).headers.range, '0-0');
    await assertCompletes(registry, location, 'abcde', 0);
  }
});

test('R16: one of two chunks for the same offset is accepted', async (t) => {
  const registry = await connect(t);
  for (let i = 0; i < 10; i++) {
    const location = await registry.openUpload('a');
    const chunks = ['aaaaa', 'bbbbb'];
    const answers = await Promise.all(
      chunks.map((chunk) => registry.patch(location, Readable.from([chunk]), '0-4')),
    );
    const taken = answers.findIndex((answer) => answer.status === 202);
    const refused = answers[1 - taken]!;
    assert.ok(
      refused.status === 416 || refused.status === 409,
      `statuses ${answers.map((answer) => answer.status)}`,
    );
    assert.equal((await registry.finish(location, digestOf(chunks[taken]!))).status, 201);
  }
});

test('R18: an interrupted PATCH keeps only bytes that its hash covers', async (t) => {
  const registry = await connect(t);
  const location = await registry.openUpload('a');
  assert.notEqual((await registry.breakOff('PATCH', location, {}, 'abcdefghij')).status, 202);
  const range = (await registry.get(location)).headers.range;
  assert.ok(range === '0-0' || range === '0-9', `Range ${range}`);
  await assertCompletes(registry, location, 'abcdefghij', range === '0-9' ? 10 : 0);
});

/** Sends `content` from `offset` on and ends the session; the digest fails if a byte was lost or added. */
async function assertCompletes(
  registry: Client,
  location: string,
  content: string,
  offset: number,
): Promise<void> {
  const whole = `${content}${randomBytes(6).toString('hex')}`;
  const rest = whole.slice(offset);
  const patched = await registry.patch(location, rest, `${offset}-${whole.length - 1}`);
  assert.equal(patched.status, 202, patched.body.toString());
  const digest = digestOf(whole);
  assert.equal((await registry.finish(locationOf(patched), digest)).status, 201);
  assert.equal((await registry.get(`/v2/a/blobs/${digest}`)).body.toString(), whole);
}
