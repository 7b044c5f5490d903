import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import { type Cookie, readCookie, setCookie } from './cookies.ts';

/** What a handler reads of a cookie `berth` from the header that a browser sends. */
async function read(header: string | undefined, secure: boolean): Promise<string | undefined> {
  const app = Fastify();
  app.get('/', async (request) => ({ value: readCookie(request, 'berth', secure) }));
  const response = await app.inject({ url: '/', headers: header === undefined ? {} : { cookie: header } });
  assert.equal(response.statusCode, 200);
  return response.json<{ value?: string }>().value;
}

/** Exactly as much as is read, or a character more. */
const long = (length: number): string => `berth=a; x=${'y'.repeat(length - 'berth=a; x='.length)}`;

for (const [what, header, secure, value] of [
  ['a cookie', 'berth=a', false, 'a'],
  ['a cookie for HTTPS', '__Host-berth=a', true, 'a'],
  ['one of several', 'x=y;berth=a-b_c.d;  z=berth=b', false, 'a-b_c.d'],
  ['one that has ended', 'berth=', false, ''],
  ['a value with an =', 'berth=a=b', false, 'a=b'],
  ['none', undefined, false, undefined],
  ['an empty header', '', false, undefined],
  ['another that begins alike', 'berth-sign-on=a', false, undefined],
  ['another that ends alike', 'x-berth=a', false, undefined],
  ['a name without a value', 'berth', false, undefined],
  ['one for HTTPS, over plain HTTP', '__Host-berth=a', false, undefined],
  ['one that a page of another host can set, over HTTPS', 'berth=a', true, undefined],
  ['two, of which one is not ours', 'berth=a; berth=b', false, undefined],
  ['one in 16 KiB', long(16_384), false, 'a'],
  ['one in more than 16 KiB', long(16_385), false, undefined],
] as const) {
  test(`of ${what} is read ${value === undefined ? 'nothing' : JSON.stringify(value)}`, async () => {
    assert.equal(await read(header, secure), value);
  });
}

test('cookies are set one beside another; only over HTTPS are they Secure, and say so in their names', async () => {
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
