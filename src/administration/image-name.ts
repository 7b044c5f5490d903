import { Refused } from '../access/refused.ts';
import { asDigest, quote } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { asTag, printReference, type Reference, type Tag } from '../oci/reference.ts';
import { parseRepositoryName } from './repositories.ts';

/** An image as people write it, without the address of the registry. */
export interface ImageName {
  readonly name: RepositoryName;
  readonly reference: Reference;
}

/** Parses `REPOSITORY:TAG` or `REPOSITORY@DIGEST`. @throws Refused */
export function parseImageName(text: string): ImageName {
  const { name, reference } = split(text);
  if (reference === undefined)
    throw new Refused(`${quote(text)} has neither a tag nor a digest: write ${name}:TAG or ${name}@DIGEST`);
  return { name, reference };
}

/** Parses `REPOSITORY:TAG`. @throws Refused */
export function parseTaggedName(text: string): { name: RepositoryName; tag: Tag } {
  const { name, reference } = split(text);
  if (reference?.kind !== 'tag') throw new Refused(`${quote(text)} has no tag: write ${name}:TAG`);
  return { name, tag: reference.tag };
}

/** Parses `REPOSITORY` or `REPOSITORY:TAG`. @throws Refused */
export function parseOptionallyTaggedName(text: string): { name: RepositoryName; tag: Tag | undefined } {
  const { name, reference } = split(text);
  if (reference?.kind === 'digest')
    throw new Refused(`${quote(text)} has a digest: write ${name} or ${name}:TAG`);
  return { name, tag: reference?.tag };
}

/** Parses `REPOSITORY`, `REPOSITORY:TAG` or `REPOSITORY@DIGEST`. @throws Refused */
export function parseAnyName(text: string): { name: RepositoryName; reference: Reference | undefined } {
  return split(text);
}

export function printImageName({ name, reference }: ImageName): string {
  return `${name}${reference.kind === 'tag' ? ':' : '@'}${printReference(reference)}`;
}

function split(text: string): { name: RepositoryName; reference: Reference | undefined } {
  const at = text.indexOf('@');
  if (at !== -1) {
    const digest = asDigest(text.slice(at + 1));
    if (digest === undefined)
      throw new Refused(`${quote(text.slice(at + 1))} is not a digest: sha256:<64 hex> or sha512:<128 hex>`);
    return { name: parseRepositoryName(text.slice(0, at)), reference: { kind: 'digest', digest } };
  }
  const colon = text.lastIndexOf(':');
  if (colon === -1) return { name: parseRepositoryName(text), reference: undefined };
  const tag = asTag(text.slice(colon + 1));
  if (tag === undefined)
    throw new Refused(
      `${quote(text.slice(colon + 1))} is not a tag; write the image without the address of the registry, such as acme/app:v1`,
    );
  return { name: parseRepositoryName(text.slice(0, colon)), reference: { kind: 'tag', tag } };
}
