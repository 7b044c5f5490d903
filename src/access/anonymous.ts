import { RegistryError } from '../oci/errors.ts';

/** What callers without credentials may do: nothing, read, or everything. */
export type AnonymousAccess = 'none' | 'pull' | 'push';

const reads = new Set(['base', 'catalog', 'pull']);

/** @throws RegistryError `UNAUTHORIZED` | `DENIED` */
export function authorizeAnonymous(access: AnonymousAccess, right: string): void {
  if (access === 'push') return;
  if (access === 'none') throw new RegistryError('UNAUTHORIZED');
  if (!reads.has(right))
    throw new RegistryError('DENIED', 'this registry lets callers without credentials only pull');
}
