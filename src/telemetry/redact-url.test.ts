import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leastCpuTime } from '../../test/support/cpu-time.ts';
import { withoutSecrets } from './redact-url.ts';

for (const [what, sent, logged] of [
  ['a token', '/v2/?access_token=canary', '/v2/?access_token=(hidden)'],
  ['one of several parameters', '/v2/a?n=5&token=canary&last=b', '/v2/a?n=5&token=(hidden)&last=b'],
  [
    'the parameters of a sign-on provider',
    '/auth/callback?state=canary&error=denied&error_description=canary',
    '/auth/callback?state=(hidden)&error=denied&error_description=(hidden)',
  ],
  ['two parameters', '/auth?code=canary&id_token=canary', '/auth?code=(hidden)&id_token=(hidden)'],
  [
    'a name with capitals, of S3',
    '/b?X-Amz-Signature=canary&X-Amz-Date=1',
    '/b?X-Amz-Signature=(hidden)&X-Amz-Date=1',
  ],
  ['an encoded name', '/v2/?access%5Ftoken=canary', '/v2/?access%5Ftoken=(hidden)'],
  ['a value with special characters', '/v2/?password=can=ary?%26canary', '/v2/?password=(hidden)'],
  ['after a semicolon', '/v2/?a=1;refresh_token=canary', '/v2/?a=1;refresh_token=(hidden)'],
  ['a doubled question mark', '/v2/??token=canary', '/v2/??token=(hidden)'],
  ['credentials before a host', 'http://user:canary@host/v2/', 'http://(hidden)@host/v2/'],
  ['credentials without a scheme', '//user:canary@host/v2/', '//(hidden)@host/v2/'],
  ['credentials with an @', 'http://user:can@ary@host/v2/', 'http://(hidden)@host/v2/'],
] as const) {
  test(`hides ${what}`, () => assert.equal(withoutSecrets(sent), logged));
}

for (const url of [
  '/v2/library/app/manifests/latest',
  '/v2/a/blobs/uploads/?mount=sha256:00&from=b',
  '/v2/a/blobs/uploads/?digest=sha256%3A00',
  '/v2/_catalog?n=100&last=token',
  '/v2/a/manifests/v1?tag=code',
  '/auth/token?service=berth&scope=repository:a:pull&account=alice',
  '/v2/a@sha256:00?%zz=1&flag',
  '',
  '?',
]) {
  test(`leaves unchanged: ${url}`, () => assert.equal(withoutSecrets(url), url));
}

test('truncates a long URL and adds its length', () => {
  const url = `/v2/?n=${'1'.repeat(5_000)}`;
  assert.equal(withoutSecrets(url), `${url.slice(0, 2_048)}... (${url.length} characters)`);
  const path = `/v2/${'a/'.repeat(5_000)}`;
  assert.equal(withoutSecrets(path), `${path.slice(0, 2_048)}... (${path.length} characters)`);
  assert.equal(
    withoutSecrets(`${path}?token=canary`),
    `${path.slice(0, 2_048)}... (${path.length + 13} characters)`,
  );
});

test('hides a secret wherever the URL is truncated', () => {
  for (let padding = 2_000; padding < 2_060; padding++) {
    const before = 'x'.repeat(padding);
    for (const url of [
      `/v2/?${before}&token=canary`,
      `/${before}?token=canary`,
      `http://${before}:canary@host/v2/`,
    ]) {
      assert.doesNotMatch(withoutSecrets(url) as string, /can/);
    }
  }
});

test('the longest URLs that consist of separators take less than 5 ms', () => {
  for (const unit of ['?', '&', ';', '=', '@', '&=', '?=', '%', '%41', '/', '//', 'a:', '&;=@?']) {
    for (const head of ['/v2/?', '/', 'http://']) {
      const url = head + unit.repeat((16 << 10) / unit.length);
      const took = leastCpuTime(5, () => void withoutSecrets(url));
      assert.ok(took < 5, `${took} ms of the processor for ${url.slice(0, 20)}…`);
    }
  }
});
