import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArgon2, printArgon2 } from './phc.ts';

const salt = Buffer.alloc(16, 0xab);
const tag = Buffer.alloc(32, 0xcd);
const base64 = (length: number): string => Buffer.alloc(length, 0xab).toString('base64').replaceAll('=', '');

/** A hash in PHC form with one part replaced. */
function phc({ m = '19456', t = '2', p = '1', salt = base64(16), tag = base64(32) } = {}): string {
  return `$argon2id$v=19$m=${m},t=${t},p=${p}$${salt}$${tag}`;
}

test('a printed hash is parsed back the same', () => {
  const hash = { memory: 19_456, passes: 2, parallelism: 1, salt, tag };
  const text = printArgon2(hash);
  assert.equal(
    text,
    '$argon2id$v=19$m=19456,t=2,p=1$q6urq6urq6urq6urq6urqw$zc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc0',
  );
  assert.deepEqual(parseArgon2(text), hash);
});

for (const [what, place, cost] of [
  ['8 KiB of memory', { m: '8' }, [8, 2, 1]],
  ['8 KiB for each of nine lanes', { m: '72', p: '9' }, [72, 2, 9]],
  ['256 MiB of memory', { m: '262144' }, [262_144, 2, 1]],
  ['one pass', { t: '1' }, [19_456, 1, 1]],
  ['16 passes', { t: '16' }, [19_456, 16, 1]],
] as const) {
  test(`accepts a hash with ${what}`, () => {
    const hash = parseArgon2(phc(place));
    assert.deepEqual([hash?.memory, hash?.passes, hash?.parallelism], cost);
  });
}

for (const [what, place, lengths] of [
  ['a salt of 8 bytes', { salt: base64(8) }, [8, 32]],
  ['a salt of 64 bytes', { salt: base64(64) }, [64, 32]],
  ['a tag of 16 bytes', { tag: base64(16) }, [16, 16]],
  ['a tag of 64 bytes', { tag: base64(64) }, [16, 64]],
] as const) {
  test(`accepts a hash with ${what}`, () => {
    const hash = parseArgon2(phc(place));
    assert.deepEqual([hash?.salt.length, hash?.tag.length], lengths);
  });
}

for (const [what, text] of [
  ['no characters', ''],
  ['text before it', `x${phc()}`],
  ['text after it', `${phc()}x`.padEnd(300, 'A')],
  ['a line end after it', `${phc()}\n`],
  ['argon2i', phc().replace('argon2id', 'argon2i')],
  ['another version', phc().replace('v=19', 'v=16')],
  ['less than 8 KiB', phc({ m: '7' })],
  ['less than 8 KiB for each of nine lanes', phc({ m: '71', p: '9' })],
  ['more than 256 MiB', phc({ m: '262145' })],
  ['memory of seven digits', phc({ m: '1000000' })],
  ['a leading zero in the memory', phc({ m: '019456' })],
  ['no memory', phc({ m: '' })],
  ['memory in letters', phc({ m: '1x' })],
  ['no passes', phc({ t: '0' })],
  ['a leading zero in the passes', phc({ t: '02' })],
  ['17 passes', phc({ t: '17' })],
  ['passes of three digits', phc({ t: '100' })],
  ['no lanes', phc({ p: '0' })],
  ['lanes of two digits', phc({ p: '10' })],
  ['a salt of 7 bytes', phc({ salt: base64(7) })],
  ['a salt of 65 bytes', phc({ salt: base64(65) })],
  ['a tag of 15 bytes', phc({ tag: base64(15) })],
  ['a tag of 65 bytes', phc({ tag: base64(65) })],
  ['padding', phc({ salt: `${base64(16)}==` })],
  ['characters of base64url', phc({ salt: `${base64(16).slice(0, -1)}-` })],
  ['unused bits of the salt set', phc({ salt: `${base64(16).slice(0, -1)}x` })],
  ['unused bits of the tag set', phc({ tag: `${base64(32).slice(0, -1)}x` })],
] as const) {
  test(`rejects a hash with ${what}`, () => assert.equal(parseArgon2(text), undefined));
}
