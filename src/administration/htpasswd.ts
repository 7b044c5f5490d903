// Parses Apache's htpasswd files, in which registries without users of their own keep names and password hashes.
import { costliestBcrypt, isBcrypt } from '../access/login/passwords.ts';

export interface HtpasswdEntry {
  /** From 1. */
  readonly line: number;
  readonly name: string;
  readonly hash: string;
}

/** The entries, and the numbers of the lines that are not entries. */
export function parseHtpasswd(text: string): { entries: HtpasswdEntry[]; invalidLines: number[] } {
  const entries: HtpasswdEntry[] = [];
  const invalidLines: number[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    // Also removes a byte order mark.
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    // nginx allows a comment after the hash.
    const [name, hash] = line.split(':') as [string, string?];
    if (name === '' || hash === undefined) invalidLines.push(i + 1);
    else entries.push({ line: i + 1, name, hash });
  }
  return { entries, invalidLines };
}

const kinds: readonly (readonly [form: RegExp, kind: string])[] = [
  [/^\$apr1\$/, "Apache's MD5"],
  [/^\$1\$/, 'MD5'],
  [/^\{SHA\}/, 'SHA-1 without a salt'],
  [/^\{SSHA\}/, 'SHA-1'],
  [/^\$5\$/, 'SHA-256'],
  [/^\$6\$/, 'SHA-512'],
  [/^[./A-Za-z0-9]{13}$/, 'crypt, which reads 8 characters'],
];

/** Explains why a hash cannot be imported, without showing the hash; `undefined`: it can be imported. */
export function whyUnsupported(hash: string): string | undefined {
  if (isBcrypt(hash)) return undefined;
  const cost = /^\$2[aby]\$(\d\d)\$/.exec(hash)?.[1];
  if (Number(cost) > costliestBcrypt)
    return `bcrypt of cost ${Number(cost)}; the highest is ${costliestBcrypt}`;
  if (cost !== undefined) return 'an incomplete bcrypt hash';
  return kinds.find(([form]) => form.test(hash))?.[1] ?? 'an unknown kind of hash';
}
