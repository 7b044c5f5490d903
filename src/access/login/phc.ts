// argon2id hashes in PHC form: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<tag>`, in base64 without padding.

export interface Argon2Cost {
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

export interface Argon2Hash extends Argon2Cost {
  readonly salt: Buffer;
  readonly tag: Buffer;
}

/** A match is a valid hash only if printing it gives the same text again. */
const form =
  /\$argon2id\$v=19\$m=([1-9]\d{0,5}),t=([1-9]\d?),p=([1-9])\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})/;

/** Limits for one check: a more expensive hash in the database would stop all logins. */
const max = { memory: 256 * 1024, passes: 16 };

/** `undefined` for anything but a hash in its canonical form. */
export function parseArgon2(text: string): Argon2Hash | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  const [m, t, p, salt, tag] = match.slice(1) as [string, string, string, string, string];
  const cost = { memory: Number(m), passes: Number(t), parallelism: Number(p) };
  // RFC 9106: at least 8 KiB a lane.
  if (cost.memory > max.memory || cost.passes > max.passes || cost.memory < 8 * cost.parallelism) return;
  const hash = { ...cost, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') };
  return printArgon2(hash) === text ? hash : undefined;
}

export function printArgon2({ memory, passes, parallelism, salt, tag }: Argon2Hash): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(tag)}`;
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
