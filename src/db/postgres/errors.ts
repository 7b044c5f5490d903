import { DatabaseError } from 'pg';
import { DatabaseUnavailable, EmptyDatabase, SchemaMismatch, UnfitDatabase } from '../database.ts';
import { UnstorableText } from '../storable.ts';

/** The connection broke under a statement; whether the server ran it is unknown. */
export class ConnectionLost extends DatabaseUnavailable {}

/** With these the server ends a session: shutdown, crash, failover, a transaction left idle. */
const ended = /^(?:08|57P0|25P03)/;
/**
 * What passes when somebody has done something: too many connections, no memory (53), a timeout (57014), a lock that is not
 * given up (55P03), a disk that fails (58), a role or database that was changed (28, 3D), a standby that takes no writes (25006).
 */
const passing = /^(?:53|57014|55P03|58|28|3D|25006)/;
const diskFull = '53100';
/** A text with a NUL, by itself or in JSON. */
const unstorable: ReadonlySet<string> = new Set(['22021', '22P05']);
/** Another transaction came in the way: serialization, deadlock, a row that was just made, or just deleted. */
const conflicts: ReadonlySet<string | undefined> = new Set(['40001', '40P01', '23505', '23503']);

export function isConflict(error: unknown): boolean {
  return error instanceof DatabaseError && conflicts.has(error.code);
}

/** What a failed statement means to callers; a bug, a conflict and a full disk stay what they are. */
export function asFault(error: unknown): unknown {
  if (error instanceof DatabaseError) {
    const code = error.code ?? '';
    if (unstorable.has(code)) return new UnstorableText({ cause: error });
    if (ended.test(code)) return new ConnectionLost(describe(error), { cause: error });
    return passing.test(code) && code !== diskFull ? unavailable(error) : error;
  }
  if (error instanceof TypeError) return error;
  // All else that `pg` throws is about the connection: sockets, its own timeouts, a client that was ended.
  return new ConnectionLost(describe(error), { cause: error });
}

/** No connection was to be had: refused, too slow, none free, or the server became unfit. */
export function asUnreachable(error: unknown): DatabaseUnavailable {
  return unavailable(error);
}

/** What a transaction ends with that was tried often enough: a broken constraint is a bug, the others pass. */
export function asGivenUp(error: unknown): unknown {
  return error instanceof DatabaseError && error.code?.startsWith('40') ? unavailable(error) : error;
}

/** For whoever starts Berth. What `pg` says holds no password; other properties of its errors may. */
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
  // An address that is several (`localhost`) and refused at each, without a message of its own.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  if (!(error instanceof Error)) return String(error);
  // A migration that failed because of what PostgreSQL said.
  return error.cause instanceof DatabaseError && !(error instanceof DatabaseUnavailable)
    ? `${error.message}: ${error.cause.message}`
    : error.message;
}
