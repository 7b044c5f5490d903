/** SQLITE_CORRUPT and SQLITE_NOTADB, in the lowest byte of extended codes. */
const sqliteDamage = new Set([11, 26]);
/** PostgreSQL's data_corrupted and index_corrupted. */
const postgresDamage = new Set(['XX001', 'XX002']);

/** The database's message, if the error means that its files are damaged; `undefined` for every other error. */
export function damageOf(error: unknown): string | undefined {
  const {
    errcode = 0,
    code = '',
    message,
  } = (error ?? {}) as {
    errcode?: number;
    code?: string;
    message?: string;
  };
  return sqliteDamage.has(errcode & 0xff) || postgresDamage.has(code) ? message : undefined;
}
