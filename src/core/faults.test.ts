import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DatabaseUnavailable, ReadOnlyRegistry, reasonOfMove } from '../db/database.ts';
import { RegistryError } from '../oci/errors.ts';
import { UploadLost } from '../storage/blob-store.ts';
import { StoreRefused, StoreUnavailable } from '../storage/store-errors.ts';
import { asRegistryError } from './faults.ts';

const system = (code: string): Error => Object.assign(new Error(`${code}: /var/lib/secret`), { code });
const sqlite = (errcode: number): Error =>
  Object.assign(new Error('sqlite'), { code: 'ERR_SQLITE_ERROR', errcode });

for (const [what, error, code] of [
  ['a full disk', system('ENOSPC'), 'STORAGE_FULL'],
  ['a full quota', system('EDQUOT'), 'STORAGE_FULL'],
  ['a full disk below SQLite', sqlite(13), 'STORAGE_FULL'],
  ['a full disk below PostgreSQL', system('53100'), 'STORAGE_FULL'],
  ['too many open files', system('EMFILE'), 'UNAVAILABLE'],
  ['a disk that fails', system('EIO'), 'UNAVAILABLE'],
  ['a disk mounted read-only', system('EROFS'), 'UNAVAILABLE'],
  ['a store that does not answer', new StoreUnavailable('secret'), 'UNAVAILABLE'],
  ['a store that rejects a call permanently', new StoreRefused('secret'), 'UNKNOWN'],
  ['a database that waits for a lock', new DatabaseUnavailable('locked'), 'UNAVAILABLE'],
  ['a locked database', sqlite(5), 'UNAVAILABLE'],
  ['an extended code of a locked database', sqlite(261), 'UNAVAILABLE'],
  ['a disk that fails below SQLite', sqlite(10), 'UNAVAILABLE'],
  ['a database that became read-only', sqlite(8 | (4 << 8)), 'UNAVAILABLE'],
  ['a broken database', sqlite(11), 'UNKNOWN'],
  ['a constraint of the database', sqlite(787), 'UNKNOWN'],
  // An error of the storage is never 'not found'.
  ['a missing file', system('ENOENT'), 'UNKNOWN'],
  ['a forbidden file', system('EACCES'), 'UNKNOWN'],
  ['staged bytes that are gone', new UploadLost('x'), 'UNKNOWN'],
  ['a bug', new TypeError('x is not a function'), 'UNKNOWN'],
  ['a thrown text', 'text', 'UNKNOWN'],
  ['nothing thrown', undefined, 'UNKNOWN'],
  ['null thrown', null, 'UNKNOWN'],
] as const) {
  test(`${what} gives ${code} without a detail, and is its cause`, () => {
    const told = asRegistryError(error);
    assert.deepEqual([told.code, told.detail, told.cause], [code, undefined, error]);
    assert.doesNotMatch(told.message, /secret|sqlite/i);
  });
}

test('a read-only registry gives its reason: DENIED for maintenance, UNAVAILABLE for a move', () => {
  const maintained = asRegistryError(new ReadOnlyRegistry('a new disk'));
  assert.deepEqual(
    [maintained.code, maintained.message],
    ['DENIED', 'the registry is read-only: a new disk'],
  );
  const moved = asRegistryError(new ReadOnlyRegistry(reasonOfMove('new.yaml')));
  assert.deepEqual(
    [moved.code, moved.detail],
    ['UNAVAILABLE', 'the registry is read-only: moved to new.yaml'],
  );
  // Neither has a cause for the log.
  assert.deepEqual([maintained.cause, moved.cause], [undefined, undefined]);
});

test('a RegistryError stays as it is', () => {
  const error = new RegistryError('TAG_INVALID', 'detail');
  assert.equal(asRegistryError(error), error);
});
