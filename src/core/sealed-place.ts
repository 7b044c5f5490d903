// A position in a list that does not reveal the hidden name there: `last` of a page that ends at a hidden name.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Db } from '../db/prepare.ts';
import { findProperty } from '../db/properties.ts';

const algorithm = 'aes-256-gcm';
const [ivLength, tagLength] = [12, 16];
/** All sealed positions have the same length: names have at most 255 characters, all ASCII. */
const padded = 255;
/** No name begins with it. */
const mark = '~';

/** Encrypts the position, so that only this registry can read it. */
export async function sealPlace(db: Db, place: string): Promise<string> {
  const iv = randomBytes(ivLength);
  const cipher = createCipheriv(algorithm, await keyOf(db), iv);
  const text = Buffer.concat([cipher.update(place.padEnd(padded, '\0')), cipher.final()]);
  return mark + Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
}

/** The position that was sealed, or `last` itself if it is not sealed. */
export async function openPlace(db: Db, last: string): Promise<string> {
  const sealed = Buffer.from(last.slice(mark.length), 'base64url');
  if (!last.startsWith(mark) || sealed.length !== ivLength + tagLength + padded) return last;
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
