import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { hashOf, isAccessToken, makeAccessToken } from './access-token.ts';

// A fixed token, so that a later version cannot change the format unnoticed.
const known = 'brth_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0omAup';
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

test('a token is recognised by prefix, characters and checksum', () => {
  for (let i = 0; i < 100; i++) {
    const { token, hash } = makeAccessToken();
    assert.match(token, /^brth_[0-9A-Za-z]{46}$/);
    assert.ok(isAccessToken(token));
    assert.equal(hash, hashOf(token));
    assert.equal(hash, createHash('sha256').update(token).digest('hex'));
  }
  assert.ok(isAccessToken(known));
});

test('the checksum is the CRC-32 of the random part in base 62 (digits, capitals, small letters)', () => {
  const { token } = makeAccessToken();
  let value = 0;
  for (const digit of token.slice(-6)) value = value * 62 + digits.indexOf(digit);
  assert.equal(value, crc32(token.slice(5, -6)));
});

test('tokens differ, and every character occurs in every position', () => {
  const tokens = Array.from({ length: 2_000 }, () => makeAccessToken().token);
  assert.equal(new Set(tokens).size, tokens.length);
  for (let place = 5; place < 45; place++) {
    assert.equal(new Set(tokens.map((token) => token[place])).size, 62, `place ${place}`);
  }
});

test('a token with any one character changed is rejected', () => {
  for (let place = 0; place < known.length; place++) {
    const other = known[place] === 'x' ? 'y' : 'x';
    assert.ok(!isAccessToken(known.slice(0, place) + other + known.slice(place + 1)), `place ${place}`);
  }
});

/** Appends a valid checksum, so that only the form of the text can be wrong. */
function withChecksum(text: string): string {
  let [value, checksum] = [crc32(text.slice('brth_'.length)), ''];
  for (let i = 0; i < 6; i++, value = Math.floor(value / 62)) checksum = digits.charAt(value % 62) + checksum;
  return text + checksum;
}

test('the checksum of the known token is right', () => assert.equal(withChecksum(known.slice(0, -6)), known));

for (const [what, text] of [
  ['nothing', ''],
  ['a password', 'correct horse battery staple'],
  ['the prefix alone', 'brth_'],
  ['another prefix', withChecksum(known.slice(0, -6).replace('brth_', 'ghp__'))],
  ['a random part that is one character too short', withChecksum(known.slice(0, -7))],
  ['a random part that is one character too long', withChecksum(`${known.slice(0, -6)}0`)],
  ['a token without its last character', known.slice(0, -1)],
  ['a token with one more character', `${known}0`],
  ['a line end after it', `${known}\n`],
  ['a line before it', withChecksum(`x\n${known.slice(0, -6)}`)],
  ['another token before it', withChecksum(known + known.slice(0, -6))],
  ['another token after it', withChecksum(`${known}-${'0'.repeat(20)}`)],
  ['a character outside base 62', withChecksum(known.slice(0, -6).replace('A', '-'))],
] as const) {
  test(`rejects as a token: ${what}`, () => assert.equal(isAccessToken(text), false));
}
