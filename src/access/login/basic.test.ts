import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBasic } from './basic.ts';

const basic = (text: string | Buffer): string => `Basic ${Buffer.from(text).toString('base64')}`;

for (const [what, header, username, password] of [
  ['a user and a password', basic('alice:secret'), 'alice', 'secret'],
  ['a password with colons', basic('alice:a:b:'), 'alice', 'a:b:'],
  ['a password beyond ASCII', basic('alice:pässwörd 🔑'), 'alice', 'pässwörd 🔑'],
  ['a byte order mark, which is part of a name', basic('\ufeffalice:a'), '\ufeffalice', 'a'],
  ['no user', basic(':secret'), '', 'secret'],
  ['no password', basic('alice:'), 'alice', ''],
  ['a robot', basic('acme+ci:brth_x'), 'acme+ci', 'brth_x'],
  ['the scheme in mixed case', basic('a:b').replace('Basic', 'bAsIc'), 'a', 'b'],
  ['spaces around the value', basic('a:b').replace(' ', '   ').concat(' '), 'a', 'b'],
  ['base64 without its padding', basic('a:bc').replace(/=+$/, ''), 'a', 'bc'],
] as const) {
  test(`parses Basic credentials: ${what}`, () =>
    assert.deepEqual(parseBasic(header), { username, password }));
}

for (const [what, header] of [
  ['nothing', undefined],
  ['an empty header', ''],
  ['another scheme', 'Bearer YTpi'],
  ['a scheme alone', 'Basic'],
  ['a scheme without a space', 'BasicYTpi'],
  ['no colon', basic('alice')],
  ['text that is not base64', 'Basic alice:secret'],
  ['base64url', 'Basic YT8_-w=='],
  ['two values', `${basic('a:b')}, ${basic('c:d')}`],
  ['bytes that are not UTF-8', basic(Buffer.from([0x61, 0x3a, 0xff, 0xfe]))],
] as const) {
  test(`rejects as Basic credentials: ${what}`, () => assert.equal(parseBasic(header), undefined));
}
