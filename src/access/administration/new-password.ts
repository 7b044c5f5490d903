// The passwords that people choose, and those that are chosen for them.
import { randomInt } from 'node:crypto';
import { hashPassword } from '../passwords.ts';
import { Refused } from './refused.ts';

const minLength = 8;
const maxBytes = 1024;

/** The hash of a password that will do. @throws Refused */
export async function hashNewPassword(password: string): Promise<string> {
  if (password === '') throw new Refused('the password is empty');
  if ([...password].length < minLength) {
    throw new Refused(`the password is too short: it needs ${minLength} characters at least`);
  }
  if (Buffer.byteLength(password) > maxBytes) {
    throw new Refused(`the password is too long: it may have ${maxBytes} bytes in UTF-8`);
  }
  // RFC 7617: a password that is sent by Basic has none.
  if (/\p{Control}/u.test(password)) {
    throw new Refused('the password has a control character in it, which clients cannot send');
  }
  return hashPassword(password);
}

/** Letters and digits that cannot be taken for each other, as people may have to type them. */
const alphabet = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const randomLength = 24;

/** A password that nobody guesses: 139 bits. */
export function randomPassword(): string {
  return Array.from({ length: randomLength }, () => alphabet[randomInt(alphabet.length)]).join('');
}
