// Encrypted positions in a list. A page that ends at a hidden name gives its position as `last` without revealing the name.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Db } from '../db/prepare.ts';
import { findProperty } from '../db/properties.ts';

const algorithm = 'aes-256-gcm';
const [ivLength, tagLength] = [12, 16];
/** Names, which are ASCII, are padded to their maximum length, so that all sealed positions have the same length. */
const paddedLength = 255;
/** Prefix of a sealed position; no name begins with it. */
const prefix = '~';

/** Encrypts the position, so that only this registry can read it. */
export async function sealPosition(db: Db, name: string): Promise<string> {
  const iv = randomBytes(ivLength);
  const cipher = createCipheriv(algorithm, await keyOf(db), iv);
  const text = Buffer.concat([cipher.update(name.padEnd(paddedLength, '\0')), cipher.final()]);
  return prefix + Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
}

/** The position that was sealed, or `last` itself if it is not sealed. */
export async function unsealPosition(db: Db, last: string): Promise<string> {
  const sealed = Buffer.from(last.slice(prefix.length), 'base64url');
  if (!last.startsWith(prefix) || sealed.length !== ivLength + tagLength + paddedLength) return last;
  const decipher = createDecipheriv(algorithm, await keyOf(db), sealed.subarray(0, ivLength));
  decipher.setAuthTag(sealed.subarray(ivLength, ivLength + tagLength));
  try {
    const text = decipher.update(sealed.subarray(ivLength + tagLength));
    return Buffer.concat([text, decipher.final()]).toString().replaceAll('\0', '');
  } catch {
    return last;
  }
}

async function keyOf(db: Db): Promise<Buffer> {
  const key = await findProperty(db, 'page-key');
  if (key === undefined) throw new Error('the property page-key is missing in the database');
  return Buffer.from(key, 'hex');
}
