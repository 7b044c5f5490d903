import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, statfsSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { freePort } from './free-port.ts';
import { findProgram } from './needs.ts';

/** A PostgreSQL server from Debian's package, with its own data. */
export interface PostgresServer {
  /** URL of its database `postgres`, over TCP, as a superuser. */
  readonly url: string;
  /** The folder of its Unix socket. */
  readonly socket: string;
  /** The id of its main process, which changes after a restart. */
  readonly pid: number;
  /** Ends it at once, like a crash. */
  down(): Promise<void>;
  /** Restarts it with its data on the same port. */
  up(): Promise<void>;
  /** Stops it and deletes its data. */
  stop(): Promise<void>;
}

/** The environment variable with the server that `npm test` shares among test files; a file that runs alone starts its own. */
export const sharedServer = 'TEST_POSTGRES';

/** A role that needs a password; all others connect without one. */
export const passwordRole = { user: 'with_password', password: 'correct horse' } as const;

/** Starts a server for many short tests. Its data need not be durable, so it is in memory if there is room. */
export function startSharedServer(): Promise<PostgresServer> {
  return startPostgresServer({ full_page_writes: 'off', autovacuum: 'off' }, memoryFolder() ?? tmpdir());
}

const roomForDatabases = 4 << 30;

function memoryFolder(): string | undefined {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    return bavail * bsize >= roomForDatabases ? '/dev/shm' : undefined;
  } catch {
    return undefined;
  }
}

/** Starts a server, which ends with this process in any case. `settings` as in `postgresql.conf`. */
export async function startPostgresServer(
  settings: Record<string, string> = {},
  folder = tmpdir(),
): Promise<PostgresServer> {
  const programs = dirname(findProgram('postgres') as string);
  const root = mkdtempSync(join(folder, 'berth-postgres-'));
  // Readable by others: the server does not run as root.
  chmodSync(root, 0o777);
  const data = join(root, 'data');
  const asServer = process.getuid?.() === 0 ? ['--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
  const initdb = [
    '--pgdata',
    data,
    '--username=postgres',
    '--auth=trust',
    '--encoding=UTF8',
    '--no-instructions',
  ];
  execFileSync('setpriv', [...asServer, join(programs, 'initdb'), ...initdb, '--locale=C.UTF-8'], {
    cwd: root,
  });
  writeFileSync(
    join(data, 'pg_hba.conf'),
    `host all ${passwordRole.user} all scram-sha-256\nhost all all all trust\nlocal all all trust\n`,
  );
  const port = await freePort();
  const all = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: root,
    max_connections: '300',
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const launch = async (): Promise<ChildProcess> => {
    const child = spawn(
      'setpriv',
      // SIGQUIT ends the server and all its processes at once.
      [...asServer, '--pdeathsig=QUIT', join(programs, 'postgres'), '-D', data, ...flags],
      { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    await untilReady(child);
    // Neither the process nor its log must keep a test file running.
    child.unref();
    (child.stderr as unknown as Socket).unref();
    return child;
  };
  let child: ChildProcess | undefined = await launch();
  const down = async (): Promise<void> => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.ref();
      child.kill('SIGQUIT');
      await once(child, 'exit');
    }
    child = undefined;
  };
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await asAdministrator(url, (admin) =>
    admin.query(`create role ${passwordRole.user} login password '${passwordRole.password}'`),
  );
  return {
    url,
    socket: root,
    get pid() {
      return child?.pid as number;
    },
    down,
    async up() {
      child ??= await launch();
    },
    async stop() {
      await down();
      await rm(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

/** Opens a connection for the duration of `run`. */
export async function asAdministrator<T>(url: string, run: (admin: Client) => Promise<T>): Promise<T> {
  const admin = new Client({ connectionString: url });
  await admin.connect();
  try {
    return await run(admin);
  } finally {
    await admin.end();
  }
}

function untilReady(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let output = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    // The log must be read to the end, or the server would block; only its start is kept.
    if (output.length < 1 << 16) output += text;
    if (output.includes('ready to accept connections')) resolve();
  });
  child.once('error', reject);
  child.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${output}`)));
  return promise;
}
