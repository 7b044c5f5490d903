import { type Digest, parseDigest, quote } from './digest.ts';
import { RegistryError } from './errors.ts';

/** A tag's name; made only by {@link parseTag}. */
export type Tag = string & { readonly __brand: 'Tag' };

/** The `<reference>` of a manifest in a URL. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest };

const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** `text` as a tag, or `undefined`. */
export function asTag(text: string): Tag | undefined {
  return text.length <= 128 && tagPattern.test(text) ? (text as Tag) : undefined;
}

/** @throws RegistryError `TAG_INVALID` */
export function parseTag(text: string): Tag {
  const tag = asTag(text);
  if (tag === undefined) {
    throw new RegistryError(
      'TAG_INVALID',
      `${quote(text)} is not a tag: at most 128 letters, digits, '_', '.' or '-', not starting with '.' or '-'`,
    );
  }
  return tag;
}

/**
 * Parses text with a colon as a digest, and other text as a tag: every digest contains a colon, and no tag does.
 * @throws RegistryError `DIGEST_INVALID` or `TAG_INVALID`
 */
export function parseReference(text: string): Reference {
  return text.includes(':')
    ? { kind: 'digest', digest: parseDigest(text) }
    : { kind: 'tag', tag: parseTag(text) };
}

/** The tag of the index in which clients without the referrers API list the referrers of `digest`. */
export function fallbackTag(digest: Digest): string {
  // Spec, "Referrers Tag Schema": the algorithm cut at 32, the encoded part at 64 characters.
  const [algorithm = '', encoded = ''] = digest.split(':');
  return `${algorithm.slice(0, 32)}-${encoded.slice(0, 64)}`;
}

export function printReference(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}
