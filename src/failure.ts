// Maps the error that ended a command to its exit code and message.
import { CommanderError } from 'commander';
import { Refused } from './access/refused.ts';
import { TokenServerKeysError } from './access/tokens/token-server-keys-error.ts';
import { InvalidArchive } from './archive/invalid-archive.ts';
import { TargetExists } from './archive/target-exists.ts';
import { ConfigError } from './config/mistake.ts';
import { CannotAdopt } from './core/adopt/cannot-adopt.ts';
import { TransferFailed } from './core/archive/transfer-failed.ts';
import { BackupError } from './core/backup/backup-error.ts';
import { CannotMigrate } from './core/migrate/cannot-migrate.ts';
import { StoreDisagrees, StoreMismatch } from './core/store-mismatch.ts';
import {
  DatabaseUnavailable,
  DataDirectoryInUse,
  ReadOnlyRegistry,
  SchemaMismatch,
  UnfinishedCopy,
  UnfitDatabase,
} from './db/database.ts';
import { TlsError } from './http/tls-error.ts';
import { ForeignRegistry } from './storage/foreign-registry.ts';
import { StoreUnavailable, StoreUnusable } from './storage/store-errors.ts';

/** The command failed: ends it with one line and exit code 1. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

/** The arguments of the command are wrong: ends it with one line and exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Ending {
  readonly exitCode: number;
  /** For standard error. */
  readonly text: string;
}

/** Another process of this command has failed. */
export class FailedElsewhere extends Error {
  override readonly name = 'FailedElsewhere';
  readonly ending: Ending;

  constructor(ending: Ending) {
    super(ending.text.trim());
    this.ending = ending;
  }
}

/** Exit code 2 for mistakes of the caller, 1 for other failures. Only bugs print a stack. */
export function endingOf(error: unknown): Ending {
  if (error instanceof CommanderError) {
    // Commander has printed its text; help and the version are no failure.
    return { exitCode: error.exitCode === 0 ? 0 : 2, text: '' };
  }
  if (error instanceof FailedElsewhere) return error.ending;
  // The same prefix as Commander's own errors.
  if (error instanceof UsageError) return { exitCode: 2, text: `error: ${error.message}\n` };
  if (error instanceof ConfigError) return { exitCode: 2, text: `berth: ${error.message}\n` };
  const reason = explain(error);
  if (reason !== undefined) return { exitCode: 1, text: `berth: ${reason}\n` };
  return { exitCode: 1, text: `berth: ${error instanceof Error ? error.stack : String(error)}\n` };
}

const REASONS: Record<string, string> = {
  EADDRINUSE: 'another program already listens there; stop it or choose another address with --listen',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the host name cannot be resolved',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EEXIST: 'it already exists',
  ENOTDIR: 'part of the path is a file',
  ENOENT: 'there is no such file or directory',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
};

/** Errors whose messages are written for the user of the command. */
const expectedErrors = [
  Failure,
  Refused,
  ReadOnlyRegistry,
  TlsError,
  TokenServerKeysError,
  SchemaMismatch,
  UnfitDatabase,
  DatabaseUnavailable,
  UnfinishedCopy,
  CannotAdopt,
  CannotMigrate,
  BackupError,
  InvalidArchive,
  TransferFailed,
  TargetExists,
  DataDirectoryInUse,
  ForeignRegistry,
  StoreMismatch,
  StoreDisagrees,
  StoreUnavailable,
  StoreUnusable,
] as const;

function explain(error: unknown): string | undefined {
  if (expectedErrors.some((kind) => error instanceof kind)) return (error as Error).message;
  const { code, syscall, path, address, port, hostname } = error as SystemError;
  if (code === 'ERR_SQLITE_ERROR') return `cannot use the database: ${(error as Error).message}`;
  if (!code || !syscall) return undefined;
  const reason = REASONS[code] ?? code;
  // `bind`: the primary binds the address of its workers.
  if (syscall === 'listen' || syscall === 'bind' || syscall === 'getaddrinfo') {
    const where = hostname ?? (address?.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
    return `cannot listen on ${where}: ${reason}`;
  }
  return `cannot ${syscall}${path ? ` ${path}` : ''}: ${reason}`;
}

interface SystemError extends NodeJS.ErrnoException {
  address?: string;
  port?: number;
  hostname?: string;
}
