import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDatabaseUrl, parseWebUrl } from './url.ts';

for (const [text, expected] of [
  ['postgres://db', true],
  ['postgresql://berth:p%23ss@db:5432/berth?sslmode=verify-full', true],
  ['postgres://[::1]:5432/berth', true],
  ['postgres:///berth?host=/run/postgresql', true],
  ['postgres://berth@/berth?host=/run/postgresql', true],
  ['postgres://berth@%2Frun%2Fpostgresql/berth', true],
  ['mysql://db/berth', false],
  ['postgres:db', false],
  [' postgres://db', false],
  ['postgres://berth:p#ss@db/berth', false],
  ['postgres://db:port/berth', false],
  ['db:5432/berth', false],
  ['', false],
] as const) {
  test(`${JSON.stringify(text)} is ${expected ? 'a' : 'no'} URL of a PostgreSQL database`, () => {
    assert.equal(isDatabaseUrl(text), expected);
  });
}

for (const [text, expected] of [
  ['https://s3.example.com', 'https://s3.example.com'],
  ['https://s3.example.com/', 'https://s3.example.com'],
  ['HTTP://S3.example.com:9000/base/', 'http://s3.example.com:9000/base'],
  ['http://[::1]:9000', 'http://[::1]:9000'],
  ['s3.example.com', undefined],
  ['s3://bucket', undefined],
  ['https://', undefined],
  ['https://user:password@s3.example.com', undefined],
  ['https://s3.example.com/?a=b', undefined],
  ['https://s3.example.com/?', undefined],
  ['https://s3.example.com/#a', undefined],
  [' https://s3.example.com', undefined],
  ['https://s3.exa mple.com', undefined],
] as const) {
  test(`${JSON.stringify(text)} is ${expected ?? 'no HTTP URL of a host and a path'}`, () => {
    assert.equal(parseWebUrl(text), expected);
  });
}
