import { DatabaseUnavailable, ReadOnlyRegistry } from '../db/database.ts';
import { UnstorableText } from '../db/storable.ts';
import { RegistryError } from '../oci/errors.ts';
import { StoreUnavailable } from '../storage/store-errors.ts';

const full = new Set(['ENOSPC', 'EDQUOT', '53100' /* PostgreSQL's */]);
/** Errors that pass once resources are free or the disk is mounted again. */
const passing = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EROFS', 'EIO', 'EAGAIN', 'ETIMEDOUT', 'ESTALE']);
const sqliteFull = 13;
const sqlitePassing = new Set([
  5 /* busy */, 6 /* locked */, 8 /* readonly */, 10 /* io */, 14 /* cannot open */,
]);

/**
 * The error that the client gets for an error of any kind. Faults of store and database are the registry's, never 'not found'. An
 * unexpected error is a bug, and gives UNKNOWN without details.
 */
export function asRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (error instanceof DatabaseUnavailable)
    return new RegistryError('UNAVAILABLE', undefined, { cause: error });
  if (error instanceof ReadOnlyRegistry) {
    // A move ends within seconds and clients retry by themselves. Maintenance lasts, so that a person has to read the reason.
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
    passing.has(code as string) ||
    sqlitePassing.has(sqlitePrimary(errcode))
  ) {
    return new RegistryError('UNAVAILABLE', undefined, { cause: error });
  }
  return new RegistryError('UNKNOWN', undefined, { cause: error });
}

/** SQLite's extended codes carry the primary one in their lowest byte. */
function sqlitePrimary(errcode: unknown): number {
  return typeof errcode === 'number' ? errcode & 0xff : -1;
}
