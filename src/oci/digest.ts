import { RegistryError } from './errors.ts';

/** `sha256:` + 64 or `sha512:` + 128 lowercase hex digits; made only by {@link parseDigest}. */
export type Digest = string & { readonly __brand: 'Digest' };

export const digestAlgorithms = ['sha256', 'sha512'] as const;
export type DigestAlgorithm = (typeof digestAlgorithms)[number];

const hexLength: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 };
const lowercaseHex = /^[0-9a-f]+$/;

/** `text` as a digest, or `undefined`. */
export function asDigest(text: string): Digest | undefined {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, colon);
  if (!isDigestAlgorithm(algorithm)) return undefined;
  // The length is checked before the expression runs, so that no input costs more than 128 characters.
  if (text.length !== colon + 1 + hexLength[algorithm]) return undefined;
  return lowercaseHex.test(text.slice(colon + 1)) ? (text as Digest) : undefined;
}

/** @throws RegistryError `DIGEST_INVALID` */
export function parseDigest(text: string): Digest {
  const digest = asDigest(text);
  if (digest === undefined) {
    throw new RegistryError('DIGEST_INVALID', `${quote(text)} is not sha256:<64 hex> or sha512:<128 hex>`);
  }
  return digest;
}

/** @throws RegistryError `DIGEST_INVALID` (end-4c: an unknown algorithm is a bad request) */
export function parseDigestAlgorithm(text: string): DigestAlgorithm {
  if (isDigestAlgorithm(text)) return text;
  throw new RegistryError('DIGEST_INVALID', `${quote(text)} is not one of ${digestAlgorithms.join(', ')}`);
}

function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return (digestAlgorithms as readonly string[]).includes(text);
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512';
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The digest of a hash's hex output, without parsing. */
export function digestOf(algorithm: DigestAlgorithm, hex: string): Digest {
  return `${algorithm}:${hex}` as Digest;
}

/** Quotes a client's text for an error: at most 80 characters, control characters escaped. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
