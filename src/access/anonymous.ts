import { RegistryError } from '../oci/errors.ts';

/** What callers without credentials may do: nothing, pull public repositories, pull every repository, or everything. */
export type AnonymousAccess = 'none' | 'public' | 'pull' | 'push';

const reads = new Set(['base', 'catalog', 'pull']);

/** @throws RegistryError `UNAUTHORIZED` | `DENIED` */
export function authorizeAnonymous(access: AnonymousAccess, right: string): void {
  if (access === 'push') return;
  if (access !== 'pull') throw new RegistryError('UNAUTHORIZED');
  if (!reads.has(right))
    throw new RegistryError('DENIED', 'this registry lets callers without credentials only pull');
}
