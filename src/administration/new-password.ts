// Checks new passwords, and generates random ones.
import { randomInt } from 'node:crypto';
import { hashPassword, normalizePassword } from '../access/login/passwords.ts';
import { Refused } from '../access/refused.ts';
import { secretKind } from '../access/secret-kind.ts';

const minLength = 8;
const maxBytes = 1024;

/** Hashes an acceptable password: one that every client can send. @throws Refused */
export async function hashNewPassword(given: string): Promise<string> {
  const password = normalizePassword(given);
  const problem = problemOf(password);
  if (problem !== undefined) throw new Refused(`the password ${problem}`);
  return hashPassword(password);
}

function problemOf(password: string): string | undefined {
  if (password === '') return 'is empty';
  if ([...password].length < minLength) return `is too short: it needs at least ${minLength} characters`;
  if (Buffer.byteLength(password) > maxBytes)
    return `is too long: it may have at most ${maxBytes} bytes in UTF-8`;
  // Basic credentials cannot contain one (RFC 7617).
  if (/\p{Control}/u.test(password)) return 'contains a control character, which clients cannot send';
  if (!password.isWellFormed())
    return 'contains half a character (a lone surrogate), which clients cannot send';
  if (password !== password.trim()) return 'begins or ends with a blank, which `docker login` removes';
  const kind = secretKind(password);
  if (kind !== 'password') return `looks like an ${kind}, and a login would treat it as one`;
  return undefined;
}

/** Letters and digits that are not easily confused, because people may type them. */
const alphabet = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const randomLength = 24;

/** A random password of 139 bits. */
export function randomPassword(): string {
  return Array.from({ length: randomLength }, () => alphabet[randomInt(alphabet.length)]).join('');
}
