import type { Conditions } from '../core/manifests.ts';
import type { HttpRequest } from '../http/request.ts';

/** Parses the entity tags of an `If-Match` or `If-None-Match` (RFC 9110, 13.1); quotes are optional, as clients differ. */
export function parseEntityTags(header: string | undefined): readonly string[] | '*' | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  return header.split(',').map((tag) => tag.trim().replace(/^W\//, '').replaceAll('"', ''));
}

export function conditionsOf(request: HttpRequest): Conditions {
  return {
    ifMatch: parseEntityTags(request.header('if-match')),
    ifNoneMatch: parseEntityTags(request.header('if-none-match')),
  };
}

/** Whether the client has this digest already and gets a 304. */
export function isNotModified(request: HttpRequest, digest: string): boolean {
  const known = parseEntityTags(request.header('if-none-match'));
  return known !== undefined && (known === '*' || known.includes(digest));
}
