// What replicas share: a PostgreSQL server from Debian, and versitygw, an S3 server over a directory.
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { freePort } from '../test/support/free-port.ts';
import { goTool } from '../test/support/go-tools.ts';
import { asAdministrator, startPostgresServer } from '../test/support/postgres-server.ts';
import { launch, type Running } from './launch.ts';
import { S3_KEY, s3Client } from './load/s3.ts';

export interface Postgres extends AsyncDisposable {
  readonly pid: number;
  /** Creates an empty database, which is deleted with the server; returns its URL. */
  createDatabase(): Promise<string>;
}

/** As the package configures it: nothing is tuned, and each commit waits for the disk. */
export async function startPostgres(): Promise<Postgres> {
  const server = await startPostgresServer();
  return {
    pid: server.pid,
    async createDatabase() {
      const name = `bench_${randomBytes(4).toString('hex')}`;
      await asAdministrator(server.url, (admin) => admin.query(`create database ${name}`));
      const url = new URL(server.url);
      url.pathname = name;
      return url.href;
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

/** An S3 server with the empty bucket `bench`. */
export interface S3 extends Running {
  readonly bucket: string;
}

export async function startS3(directory: string, signal: AbortSignal): Promise<S3> {
  const tool = goTool('versitygw');
  if ('reason' in tool) throw new Error(tool.reason);
  const port = await freePort();
  const root = join(directory, 's3');
  await mkdir(root);
  const args = versitygwArguments(root, port);
  const env = { ROOT_ACCESS_KEY: S3_KEY.accessKeyId, ROOT_SECRET_KEY: S3_KEY.secretAccessKey };
  const program = { name: 'versitygw', directory, port, command: tool.path, args, env, probe: '/health' };
  await using stack = new AsyncDisposableStack();
  const running = stack.use(await launch(program, signal));
  const bucket = 'bench';
  using client = s3Client(running.url);
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  // versitygw deletes a folder with its last object, and answers 409 to a concurrent creation in it. This object keeps it.
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'uploads/kept', Body: 'kept' }));
  stack.move();
  return { ...running, bucket };
}

export function versitygwArguments(root: string, port: number | string): string[] {
  return ['--port', `127.0.0.1:${port}`, '--keep-alive', '--quiet', '--health', '/health', 'posix', root];
}

/** The settings of a Berth whose rows are in the database. */
export function databaseSettings(url: string): Record<string, string> {
  return { BERTH_DATABASE_URL: url };
}

/** The settings of a Berth whose blobs are in the bucket. */
export function storageSettings({ url, bucket }: S3, redirect: boolean): Record<string, string> {
  return {
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: bucket,
    BERTH_STORAGE_S3_ENDPOINT: url,
    BERTH_STORAGE_S3_ACCESS_KEY_ID: S3_KEY.accessKeyId,
    BERTH_STORAGE_S3_SECRET_ACCESS_KEY: S3_KEY.secretAccessKey,
    BERTH_STORAGE_S3_REDIRECT: String(redirect),
  };
}
