import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const key = randomBytes(32);

/** Whether two secrets are the same, in a time that tells nothing of where or in length they differ. */
export function isSameSecret(one: string | Uint8Array, other: string | Uint8Array): boolean {
  return timingSafeEqual(keyedHash(one), keyedHash(other));
}

/** What only this process can make of a text: it can be kept for comparison and given away without telling the text. */
export function keyedHash(text: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
