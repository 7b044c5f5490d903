import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { openS3Store } from '../../src/storage/s3.ts';
import type { S3Settings } from '../../src/storage/s3-bucket.ts';
import { cleanUp } from './cleanup.ts';
import { freePort } from './free-port.ts';
import { goTool } from './go-tools.ts';

/** A real S3 server (versitygw over a directory) on a free port of 127.0.0.1; the files of one process share it. */
export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  /** The directory that has a folder for each bucket, and in it a file for each object. */
  readonly folder: string;
}

const credentials = { accessKeyId: 'berth-test', secretAccessKey: 'berth-test-secret' };
const startLimit = 20_000;
let server: Promise<S3Server> | undefined;
let buckets = 0;

/**
 * What a store needs to use a new and empty bucket; or `undefined` where the server cannot be had, and the test is skipped with
 * the reason.
 */
export async function s3Settings(
  t: TestContext,
  more: Partial<S3Settings> = {},
): Promise<S3Settings | undefined> {
  const tool = goTool('versitygw');
  if ('reason' in tool) {
    t.skip(tool.reason);
    return undefined;
  }
  server ??= start(tool.path);
  const { endpoint, folder } = await server;
  buckets += 1;
  const bucket = `test-${process.pid}-${buckets}`;
  // versitygw removes a folder with its last object, and refuses whoever makes another in it at that moment.
  mkdirSync(join(folder, bucket, more.prefix ?? '', 'uploads', 'kept'), { recursive: true });
  cleanUp(t, () => rmSync(join(folder, bucket), { recursive: true, force: true, maxRetries: 5 }));
  return {
    bucket,
    region: 'us-east-1',
    endpoint,
    pathStyle: true,
    ...credentials,
    prefix: '',
    redirectExpiry: 300_000,
    ...more,
  };
}

/** A store over a new bucket, closed after the test. */
export async function s3Store(
  t: TestContext,
  more: Partial<S3Settings> = {},
): Promise<BlobStore | undefined> {
  const settings = await s3Settings(t, more);
  if (settings === undefined) return undefined;
  const store = await openS3Store(settings);
  cleanUp(t, () => store.close());
  return store;
}

/** The directory in which the server keeps a bucket's objects. */
export async function bucketFolder({ bucket }: S3Settings): Promise<string> {
  return join((await (server as Promise<S3Server>)).folder, bucket);
}

async function start(path: string): Promise<S3Server> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-s3-'));
  const port = await freePort();
  const [access, secret] = Object.values(credentials);
  const args = ['--quiet', '--keep-alive', '--port', `127.0.0.1:${port}`];
  args.push('--access', access as string, '--secret', secret as string, 'posix');
  // Metadata beside the objects: not every temporary directory takes extended attributes.
  const sidecar = mkdtempSync(join(tmpdir(), 'berth-s3-metadata-'));
  const child = spawn(path, [...args, '--sidecar', sidecar, folder], {
    // It complains of each connection that breaks, which tests do on purpose.
    stdio: 'ignore',
  });
  process.on('exit', () => {
    child.kill('SIGKILL');
    for (const directory of [folder, sidecar]) rmSync(directory, { recursive: true, force: true });
  });
  // Tests may end while it runs.
  child.unref();
  await listening(child, port);
  return { endpoint: `http://127.0.0.1:${port}`, folder };
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + startLimit;
  while (child.exitCode === null && performance.now() < deadline) {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (up) return;
    await delay(20);
  }
  throw new Error(`the S3 server did not start: ${child.exitCode ?? 'no answer'}`);
}
