// Passwords and their hashes. A hash takes tens of milliseconds of a thread that also reads files, so a server hashes only in the
// hash queue.
import { argon2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';
import { isSameSecret } from '../secrets.ts';
import { type Argon2Cost, type Argon2Hash, parseArgon2, printArgon2 } from './phc.ts';

/** The minimum for argon2id in OWASP's password storage cheat sheet. */
const cost: Argon2Cost = { memory: 19 * 1024, passes: 2, parallelism: 1 };
const saltLength = 16;
const tagLength = 32;

const derive = promisify(argon2);

/**
 * The form of a password that is hashed, because keyboards and systems send the same text in several forms (RFC 8265,
 * OpaqueString: NFC, and all Unicode spaces become a space).
 */
export function normalizePassword(password: string): string {
  return password.replaceAll(/\p{Zs}/gu, ' ').normalize('NFC');
}

/** An argon2id hash in PHC form. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltLength);
  const tag = await tagOf(normalizePassword(password), cost, salt, tagLength);
  return printArgon2({ ...cost, salt, tag });
}

/**
 * Checks a password against a hash, argon2id in PHC form or bcrypt. Each check does the same work, an argon2id hash of the
 * current cost and a bcrypt hash of the highest cost that any user has. So a missing, malformed or cheaper hash takes as long as
 * the most expensive one. Only a password that is not normalized takes twice that.
 * @param highestCost the highest cost of all users' bcrypt hashes; 0 if there are none
 */
export async function verifyPassword(
  password: string,
  hash: string | undefined,
  highestCost = 0,
): Promise<boolean> {
  const bcrypt = hash !== undefined && isBcrypt(hash) ? hash : undefined;
  const argon2 = hash === undefined ? undefined : parseArgon2(hash);
  // Imported and older hashes were made of the password as it was sent.
  for (const form of new Set([normalizePassword(password), password])) {
    const [byBcrypt, byArgon2] = await Promise.all([
      matchesBcrypt(form, bcrypt, highestCost),
      matchesArgon2(form, argon2),
    ]);
    if (byBcrypt || byArgon2) return true;
  }
  return false;
}

/** Whether the hash has another kind or cost than those of {@link hashPassword}. */
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
/** The highest accepted cost: a check takes seconds, and each further step doubles that. */
export const costliestBcrypt = 15;

/** Whether this is a bcrypt hash that {@link verifyPassword} can check. */
export function isBcrypt(hash: string): boolean {
  return bcryptCost(bcryptForm.exec(hash)?.[1]) > 0;
}

/** Parses the cost of a bcrypt hash, such as `10`; 0 if it is absent, or if hashes of that cost are not checked. */
export function bcryptCost(text: string | undefined): number {
  const cost = Number(text);
  return cost >= cheapestBcrypt && cost <= costliestBcrypt ? cost : 0;
}

/**
 * bcrypt ignores all bytes after the 72nd, and cannot tell a password that ends in NUL from its repetition. Such passwords never
 * match, because other passwords would match too.
 */
async function matchesBcrypt(
  password: string,
  hash: string | undefined,
  highestCost: number,
): Promise<boolean> {
  const readable = Buffer.byteLength(password) <= 72 && !password.includes('\0');
  if (hash === undefined || !readable) {
    if (highestCost > 0) await spendBcrypt(highestCost);
    return false;
  }
  const matches = await verifyBcrypt(password, hash);
  // 2^c + (2^c + 2^(c+1) + … + 2^(d-1)) = 2^d
  for (let cost = bcryptCost(bcryptForm.exec(hash)?.[1]); cost < highestCost; cost++) await spendBcrypt(cost);
  return matches;
}

/** Spends the time of one check. */
async function spendBcrypt(cost: number): Promise<void> {
  await verifyBcrypt('', `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`);
}

async function matchesArgon2(password: string, hash: Argon2Hash | undefined): Promise<boolean> {
  const { salt, tag } = hash ?? { salt: Buffer.alloc(saltLength), tag: Buffer.alloc(tagLength) };
  const made = await tagOf(password, hash ?? cost, salt, tag.length);
  return hash !== undefined && isSameSecret(made, tag);
}

function tagOf(
  password: string,
  { memory, passes, parallelism }: Argon2Cost,
  salt: Buffer,
  tagLength: number,
): Promise<Buffer> {
  return derive('argon2id', { message: password, nonce: salt, memory, passes, parallelism, tagLength });
}
