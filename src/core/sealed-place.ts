// A place in a list, for somebody who may not see what is there: `last` of a page that ends at a hidden name.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Db } from '../db/prepare.ts';
import { findProperty } from '../db/properties.ts';

const algorithm = 'aes-256-gcm';
const [ivLength, tagLength] = [12, 16];
/** All places are as long as each other: a name has at most 255 characters, all of them ASCII. */
const padded = 255;
/** No name starts so. */
const mark = '~';

/** The place, so that nobody but this registry reads it. */
export async function sealPlace(db: Db, place: string): Promise<string> {
  const iv = randomBytes(ivLength);
  const cipher = createCipheriv(algorithm, await keyOf(db), iv);
  const text = Buffer.concat([cipher.update(place.padEnd(padded, '\0')), cipher.final()]);
  return mark + Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
}

/** The place that was sealed, or `last` as it is where it is no sealed place. */
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
  if (key === undefined) throw new Error('the database has no page-key among its properties');
  return Buffer.from(key, 'hex');
}
