import { chmod, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { Client } from 'pg';
import { type Child, startChild } from '../support/child.ts';
import { cleanUp } from '../support/cleanup.ts';
import { run } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { findProgram } from '../support/needs.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const address = '127.0.2.2';

/** The test's own PostgreSQL server, which can stop and restart with its data. */
export class Postgres {
  /** `127.0.2.2:PORT` */
  readonly host: string;
  readonly #t: TestContext;
  readonly #command: readonly string[];
  #child: Child | undefined;

  private constructor(t: TestContext, host: string, command: readonly string[]) {
    this.#t = t;
    this.host = host;
    this.#command = command;
  }

  static async start(t: TestContext): Promise<Postgres> {
    const programs = dirname(findProgram('postgres') as string);
    const directory = await temporaryDirectory(t, 'berth-postgres');
    // PostgreSQL refuses to run as root, and its user needs access to the directory.
    await chmod(directory, 0o777);
    const user = process.getuid?.() === 0 ? ['--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
    const program = (name: string, ...args: string[]) => ['setpriv', ...user, join(programs, name), ...args];
    const data = join(directory, 'data');
    const initdb = ['--auth=trust', '--username=postgres', '--encoding=UTF8', '--locale=C.UTF-8'];
    const [command, ...args] = program('initdb', '--pgdata', data, ...initdb);
    await run(command!, args, { cwd: directory });
    const port = await freePort(address);
    const settings = {
      port,
      listen_addresses: address,
      unix_socket_directories: directory,
      max_connections: 200,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
    await writeFile(join(data, 'postgresql.auto.conf'), lines.join(''));
    const postgres = new Postgres(t, `${address}:${port}`, program('postgres', '-D', data));
    await postgres.start();
    return postgres;
  }

  async start(): Promise<void> {
    const [command, ...args] = this.#command;
    // Logged just before the server accepts clients, also after a recovery.
    const ready = /ready to accept connections/;
    const env = { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR };
    this.#child = await startChild(this.#t, { command: command!, args, env, ready });
    // SIGKILL would leave its shared memory behind.
    cleanUp(this.#t, () => this.stop());
  }

  /** Ends it like a crash: without notice to its clients, and without writing data. */
  async stop(): Promise<void> {
    await this.#child?.stop('SIGQUIT');
  }

  async createDatabase(name: string, target = this.host): Promise<string> {
    await this.query('postgres', `create database ${name}`);
    return `postgres://postgres@${target}/${name}`;
  }

  /** The rows of one statement. */
  async query(database: string, statement: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: `postgres://postgres@${this.host}/${database}` });
    await client.connect();
    try {
      return (await client.query(statement)).rows;
    } finally {
      await client.end();
    }
  }
}
