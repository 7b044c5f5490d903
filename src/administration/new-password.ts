// The passwords that people choose, and those that are chosen for them.
import { randomInt } from 'node:crypto';
import { hashPassword, normalizePassword } from '../access/login/passwords.ts';
import { Refused } from '../access/refused.ts';
import { secretKind } from '../access/secret-kind.ts';

const minLength = 8;
const maxBytes = 1024;

/** The hash of a password that will do: one that every client can send, and that logs in. @throws Refused */
export async function hashNewPassword(given: string): Promise<string> {
  const password = normalizePassword(given);
  const problem = problemOf(password);
  if (problem !== undefined) throw new Refused(`the password ${problem}`);
  return hashPassword(password);
}

function problemOf(password: string): string | undefined {
  if (password === '') return 'is empty';
  if ([...password].length < minLength) return `is too short: it needs ${minLength} characters at least`;
  if (Buffer.byteLength(password) > maxBytes) return `is too long: it may have ${maxBytes} bytes in UTF-8`;
  // RFC 7617: a password that is sent by Basic has none.
  if (/\p{Control}/u.test(password)) return 'has a control character in it, which clients cannot send';
  if (!password.isWellFormed())
    return 'has half a character in it (a lone surrogate), which clients cannot send';
  if (password !== password.trim()) return 'begins or ends with a blank, which `docker login` leaves out';
  const kind = secretKind(password);
  if (kind !== 'password') return `looks like an ${kind}, for which a login would take it`;
  return undefined;
}

/** Letters and digits that cannot be taken for each other, as people may have to type them. */
const alphabet = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const randomLength = 24;

/** A password that nobody guesses: 139 bits. */
export function randomPassword(): string {
  return Array.from({ length: randomLength }, () => alphabet[randomInt(alphabet.length)]).join('');
}
