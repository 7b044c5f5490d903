// Passwords and their hashes. Hashing takes tens of milliseconds of a thread that files are read on too: in a server it goes
// through the hash queue.
import { argon2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';
import { isSameSecret } from '../secrets.ts';
import { type Argon2Cost, type Argon2Hash, parseArgon2, printArgon2 } from './phc.ts';

/** What OWASP's password storage cheat sheet asks of argon2id at least. */
const cost: Argon2Cost = { memory: 19 * 1024, passes: 2, parallelism: 1 };
const saltLength = 16;
const tagLength = 32;

const derive = promisify(argon2);

/**
 * The password as it is hashed: keyboards and systems send one text in several forms (RFC 8265, OpaqueString: NFC, and every blank
 * of Unicode is a space).
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
 * Whether `hash`, argon2id in PHC form or bcrypt, is that of the password. Each check is the same work, an argon2id hash of today's
 * cost and a bcrypt hash of the dearest cost that any user has, whatever this one is: without a hash, with one that is malformed,
 * or with a cheaper one, it takes as long as with the dearest. Only a password that is not normalized takes twice that.
 *
 * @param dearest the highest cost of the bcrypt hashes that users have; 0 when nobody has one
 */
export async function verifyPassword(
  password: string,
  hash: string | undefined,
  dearest = 0,
): Promise<boolean> {
  const bcrypt = hash !== undefined && isBcrypt(hash) ? hash : undefined;
  const argon2 = hash === undefined ? undefined : parseArgon2(hash);
  // Imported hashes, and those of before, were made of whatever was sent.
  for (const form of new Set([normalizePassword(password), password])) {
    const [byBcrypt, byArgon2] = await Promise.all([
      matchesBcrypt(form, bcrypt, dearest),
      matchesArgon2(form, argon2),
    ]);
    if (byBcrypt || byArgon2) return true;
  }
  return false;
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
  return bcryptCost(bcryptForm.exec(hash)?.[1]) > 0;
}

/** The cost as a hash writes it, `10`; 0 when a hash of that cost is not checked, or there is none. */
export function bcryptCost(text: string | undefined): number {
  const cost = Number(text);
  return cost >= cheapestBcrypt && cost <= costliestBcrypt ? cost : 0;
}

/**
 * bcrypt reads 72 bytes and no more, and a password that ends in a NUL as its repetition: such passwords match nothing, or others
 * would match with them.
 */
async function matchesBcrypt(password: string, hash: string | undefined, dearest: number): Promise<boolean> {
  const readable = Buffer.byteLength(password) <= 72 && !password.includes('\0');
  if (hash === undefined || !readable) {
    if (dearest > 0) await spendBcrypt(dearest);
    return false;
  }
  const matches = await verifyBcrypt(password, hash);
  // 2^c + (2^c + 2^(c+1) + … + 2^(d-1)) = 2^d
  for (let cost = bcryptCost(bcryptForm.exec(hash)?.[1]); cost < dearest; cost++) await spendBcrypt(cost);
  return matches;
}

/** The work of one check. */
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
