import { DatabaseUnavailable, ReadOnlyRegistry } from '../db/database.ts';
import { UnstorableText } from '../db/storable.ts';
import { RegistryError } from '../oci/errors.ts';
import { StoreUnavailable } from '../storage/store-errors.ts';

const full = new Set(['ENOSPC', 'EDQUOT', '53100' /* PostgreSQL's */]);
/** Temporary errors: they end when resources are free or the disk is mounted again. */
const temporary = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EROFS', 'EIO', 'EAGAIN', 'ETIMEDOUT', 'ESTALE']);
const sqliteFull = 13;
const sqliteTemporary = new Set([
  5 /* busy */, 6 /* locked */, 8 /* readonly */, 10 /* io */, 14 /* cannot open */,
]);

/**
 * Converts an error of any kind to the error that the client gets. A fault of the store or the database never becomes 'not found'.
 * An unexpected error is a bug, and becomes UNKNOWN without details.
 */
export function asRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (error instanceof DatabaseUnavailable)
    return new RegistryError('UNAVAILABLE', undefined, { cause: error });
  if (error instanceof ReadOnlyRegistry) {
    // A move ends within seconds, and clients retry UNAVAILABLE. Maintenance takes longer, so a person must see the reason.
    return error.moving
      ? new RegistryError('UNAVAILABLE', error.message)
      : new RegistryError('DENIED', undefined, { message: error.message });
  }
  if (error instanceof UnstorableText) {
    return new RegistryError('UNSUPPORTED', error.message, { cause: error });
  }
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  if (full.has(code as string) || sqlitePrimary(errcode) === sqliteFull) {
    return new RegistryError('STORAGE_FULL', undefined, { cause: error });
  }
  if (
    error instanceof StoreUnavailable ||
    temporary.has(code as string) ||
    sqliteTemporary.has(sqlitePrimary(errcode))
  ) {
    return new RegistryError('UNAVAILABLE', undefined, { cause: error });
  }
  return new RegistryError('UNKNOWN', undefined, { cause: error });
}

/** SQLite's extended codes carry the primary one in their lowest byte. */
function sqlitePrimary(errcode: unknown): number {
  return typeof errcode === 'number' ? errcode & 0xff : -1;
}
