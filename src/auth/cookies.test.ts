import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import { type Cookie, readCookie, setCookie } from './cookies.ts';

/** The value of the cookie `berth` that a handler reads from a Cookie header. */
async function read(header: string | undefined, secure: boolean): Promise<string | undefined> {
  const app = Fastify();
  app.get('/', async (request) => ({ value: readCookie(request, 'berth', secure) }));
  const response = await app.inject({ url: '/', headers: header === undefined ? {} : { cookie: header } });
  assert.equal(response.statusCode, 200);
  return response.json<{ value?: string }>().value;
}

/** A header of exactly the given length. */
const long = (length: number): string => `berth=a; x=${'y'.repeat(length - 'berth=a; x='.length)}`;

for (const [what, header, secure, value] of [
  ['a cookie', 'berth=a', false, 'a'],
  ['a cookie for HTTPS', '__Host-berth=a', true, 'a'],
  ['one of several', 'x=y;berth=a-b_c.d;  z=berth=b', false, 'a-b_c.d'],
  ['an empty value', 'berth=', false, ''],
  ['a value with an =', 'berth=a=b', false, 'a=b'],
  ['a request without a Cookie header', undefined, false, undefined],
  ['an empty header', '', false, undefined],
  ['a longer name with the same prefix', 'berth-sign-on=a', false, undefined],
  ['a longer name with the same suffix', 'x-berth=a', false, undefined],
  ['a name without a value', 'berth', false, undefined],
  ['a cookie for HTTPS, over plain HTTP', '__Host-berth=a', false, undefined],
  ['a cookie without the prefix, over HTTPS', 'berth=a', true, undefined],
  ['two with the same name', 'berth=a; berth=b', false, undefined],
  ['a header of 16 KiB', long(16_384), false, 'a'],
  ['a header of more than 16 KiB', long(16_385), false, undefined],
] as const) {
  test(`${what} is read as ${value === undefined ? 'no cookie' : JSON.stringify(value)}`, async () => {
    assert.equal(await read(header, secure), value);
  });
}

test('several cookies can be set; over HTTPS they are Secure and have the __Host- prefix', async () => {
  const app = Fastify();
  const cookies: Cookie[] = [
    { name: 'berth', value: 'a', maxAge: 600, secure: true },
    { name: 'other', value: '', maxAge: 0, secure: false },
  ];
  app.get('/', async (_request, reply) => {
    for (const cookie of cookies) setCookie(reply, cookie);
    return '';
  });
  assert.deepEqual((await app.inject('/')).headers['set-cookie'], [
    '__Host-berth=a; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure',
    'other=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax',
  ]);
});
