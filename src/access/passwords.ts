// Passwords and their hashes. Hashing takes tens of milliseconds of a thread that files are read on too: in a server it goes
// through the hash queue.
import { argon2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';
import { type Argon2Cost, parseArgon2, printArgon2 } from './phc.ts';
import { isSameSecret } from './secrets.ts';

/** What OWASP's password storage cheat sheet asks of argon2id at least. */
const cost: Argon2Cost = { memory: 19 * 1024, passes: 2, parallelism: 1 };
const saltLength = 16;
const tagLength = 32;

const derive = promisify(argon2);

/** An argon2id hash in PHC form. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltLength);
  return printArgon2({ ...cost, salt, tag: await tagOf(password, cost, salt, tagLength) });
}

/**
 * Whether `hash`, argon2id in PHC form or bcrypt, is that of the password. Without a hash, or with one that is malformed, it takes
 * as long and is false.
 */
export async function verifyPassword(password: string, hash: string | undefined): Promise<boolean> {
  if (hash && isBcrypt(hash)) return matchesBcrypt(password, hash);
  const argon2 = hash && parseArgon2(hash);
  if (!argon2) return spendTime(password);
  return isSameSecret(await tagOf(password, argon2, argon2.salt, argon2.tag.length), argon2.tag);
}

/** Whether a hash is not what {@link hashPassword} would make today. */
export function needsRehash(hash: string): boolean {
  const found = parseArgon2(hash);
  return (
    found?.memory !== cost.memory ||
    found.passes !== cost.passes ||
    found.parallelism !== cost.parallelism ||
    found.salt.length < saltLength ||
    found.tag.length < tagLength
  );
}

const bcryptForm = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const cheapestBcrypt = 4;
/** Seconds for one check; one step more is twice that. */
export const costliestBcrypt = 15;

/** Whether this is a bcrypt hash that {@link verifyPassword} takes. */
export function isBcrypt(hash: string): boolean {
  const rounds = Number(bcryptForm.exec(hash)?.[1]);
  return rounds >= cheapestBcrypt && rounds <= costliestBcrypt;
}

/**
 * bcrypt reads 72 bytes and no more, and a password that ends in a NUL as its repetition: such passwords match nothing, or others
 * would match with them.
 */
async function matchesBcrypt(password: string, hash: string): Promise<boolean> {
  if (Buffer.byteLength(password) > 72 || password.includes('\0')) return spendTime(password);
  // Imported hashes are cheap as a rule. Beside the usual work it cannot be told that a user has one.
  const [matches] = await Promise.all([verifyBcrypt(password, hash), spendTime(password)]);
  return matches;
}

async function spendTime(password: string): Promise<false> {
  await tagOf(password, cost, Buffer.alloc(saltLength), tagLength);
  return false;
}

function tagOf(
  password: string,
  { memory, passes, parallelism }: Argon2Cost,
  salt: Buffer,
  tagLength: number,
): Promise<Buffer> {
  return derive('argon2id', { message: password, nonce: salt, memory, passes, parallelism, tagLength });
}
