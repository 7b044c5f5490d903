import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const key = randomBytes(32);

/** Compares two secrets. The time reveals neither the place of a difference nor whether the lengths differ. */
export function isSameSecret(one: string | Uint8Array, other: string | Uint8Array): boolean {
  return timingSafeEqual(keyedHash(one), keyedHash(other));
}

/** A hash with this process's random key: safe to keep for comparison or to pass on. */
export function keyedHash(text: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
