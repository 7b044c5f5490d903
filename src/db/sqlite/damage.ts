/** SQLITE_CORRUPT and SQLITE_NOTADB; extended codes carry them in their lowest byte. */
const sqliteDamage = new Set([11, 26]);
/** PostgreSQL's data_corrupted and index_corrupted. */
const postgresDamage = new Set(['XX001', 'XX002']);

/** What the database says of itself, if an error means that it is stored wrongly; `undefined` for every other error. */
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
