// Access tokens of users and robots, sent in place of a password. The database holds only their hash.
import { createHash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const prefix = 'brth_';
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 238 bits. */
const randomLength = 40;
const checksumLength = 6;
const shape = /^brth_[0-9A-Za-z]{46}$/;

/** A new token and its hash. */
export function makeAccessToken(): { token: string; hash: string } {
  const random = Array.from({ length: randomLength }, () => digits[randomInt(digits.length)]).join('');
  const token = `${prefix}${random}${checksumOf(random)}`;
  return { token, hash: hashOf(token) };
}

/** Whether the text has the form of a Berth token. Leak scanners use the same rule, without asking a registry. */
export function isAccessToken(text: string): boolean {
  if (!shape.test(text)) return false;
  const random = text.slice(prefix.length, -checksumLength);
  return text.endsWith(checksumOf(random));
}

/** SHA-256 in hex: a token is random enough to need no slow hash. */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** CRC-32 in base 62. */
function checksumOf(random: string): string {
  let rest = crc32(random);
  let text = '';
  for (let i = 0; i < checksumLength; i++) {
    text = digits.charAt(rest % digits.length) + text;
    rest = Math.floor(rest / digits.length);
  }
  return text;
}
