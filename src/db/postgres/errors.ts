import { DatabaseError } from 'pg';
import { DatabaseUnavailable, EmptyDatabase, SchemaMismatch, UnfitDatabase } from '../database.ts';
import { UnstorableText } from '../storable.ts';

/** The connection broke during a statement; whether the server ran it is unknown. */
export class ConnectionLost extends DatabaseUnavailable {}

/** Codes with which the server ends a session: shutdown, crash, failover, an idle transaction. */
const ended = /^(?:08|57P0|25P03)/;
/**
 * Temporary failures: too many connections or no memory (53), a timeout (57014), a lock timeout (55P03), a failing disk (58), a
 * changed role or database (28, 3D), a read-only standby (25006).
 */
const temporary = /^(?:53|57014|55P03|58|28|3D|25006)/;
const diskFull = '53100';
/** Text with a NUL, plain or in JSON. */
const unstorable: ReadonlySet<string> = new Set(['22021', '22P05']);
/** Conflicts with another transaction: serialization, deadlock, a row just inserted or deleted. */
const conflicts: ReadonlySet<string | undefined> = new Set(['40001', '40P01', '23505', '23503']);

export function isConflict(error: unknown): boolean {
  return error instanceof DatabaseError && conflicts.has(error.code);
}

/** Converts a statement's error for callers; bugs, conflicts and a full disk stay unchanged. */
export function asFault(error: unknown): unknown {
  if (error instanceof DatabaseError) {
    const code = error.code ?? '';
    if (unstorable.has(code)) return new UnstorableText({ cause: error });
    if (ended.test(code)) return new ConnectionLost(describe(error), { cause: error });
    return temporary.test(code) && code !== diskFull ? unavailable(error) : error;
  }
  if (error instanceof TypeError) return error;
  // All other errors of `pg` concern the connection: sockets, its own timeouts, a closed client.
  return new ConnectionLost(describe(error), { cause: error });
}

/** No connection is available: refused, too slow, none free, or the server became unfit. */
export function asUnreachable(error: unknown): DatabaseUnavailable {
  return unavailable(error);
}

/** The error of a transaction after the last retry: a violated constraint is a bug, other conflicts are temporary. */
export function asGivenUp(error: unknown): unknown {
  return error instanceof DatabaseError && error.code?.startsWith('40') ? unavailable(error) : error;
}

/** The error shown at the start. Messages of `pg` contain no password; other properties of its errors may. */
export function asStartFailure(error: unknown, database: string): unknown {
  if (error instanceof SchemaMismatch || error instanceof EmptyDatabase) return error;
  if (error instanceof UnfitDatabase) return new UnfitDatabase(`the database${database}: ${error.message}`);
  const isBug = error instanceof DatabaseError ? error.severity !== 'FATAL' : error instanceof TypeError;
  return isBug ? error : new UnfitDatabase(`the database${database} cannot be used: ${messageOf(error)}`);
}

function unavailable(error: unknown): DatabaseUnavailable {
  return new DatabaseUnavailable(describe(error), { cause: error });
}

function describe(error: unknown): string {
  return `PostgreSQL: ${messageOf(error)}`;
}

function messageOf(error: unknown): string {
  // A host with several addresses (`localhost`), refused at each; it has no message of its own.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  if (!(error instanceof Error)) return String(error);
  // A migration that failed with an error of PostgreSQL.
  return error.cause instanceof DatabaseError && !(error instanceof DatabaseUnavailable)
    ? `${error.message}: ${error.cause.message}`
    : error.message;
}
