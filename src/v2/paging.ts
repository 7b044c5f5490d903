import type { PageRequest } from '../core/page.ts';
import type { HttpRequest } from '../http/request.ts';
import { quote } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';

/**
 * Parses `n` and `last` of a list request. An `n` over the limit is reduced to it; `Link` leads to the next page.
 * @param defaultSize `n` when the request has none
 * @throws RegistryError `PAGINATION_NUMBER_INVALID`
 */
export function pageRequest<N extends number | undefined>(
  { query }: HttpRequest,
  defaultSize: N,
  maxSize: number,
): Omit<PageRequest, 'n'> & { readonly n: number | N } {
  const n = query.get('n');
  if (n !== null && !/^\d{1,18}$/.test(n)) {
    throw new RegistryError('PAGINATION_NUMBER_INVALID', `n must be a whole number, found ${quote(n)}`);
  }
  return {
    last: upToNul(query.get('last') ?? ''),
    n: n === null ? defaultSize : Math.min(Number(n), maxSize),
  };
}

/** PostgreSQL accepts no NUL in a text. No name contains one, so the names after `a\0b` are those after `a`. */
function upToNul(text: string): string {
  return text.split('\0', 1)[0] as string;
}

/** The `Link` header to the next page of the list at `path`: without a host, as clients refuse other hosts, and with the filters. */
export function nextLink(
  path: string,
  n: number | undefined,
  last: string,
  filters: Record<string, string> = {},
): string {
  const query = new URLSearchParams({ ...filters, ...(n !== undefined && { n: String(n) }), last });
  return `<${path}?${query}>; rel="next"`;
}
