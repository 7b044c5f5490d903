import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import type { S3Settings } from '../../src/storage/s3/bucket.ts';
import { openS3Store } from '../../src/storage/s3/s3.ts';
import { cleanUp } from './cleanup.ts';
import { freePort } from './free-port.ts';
import { goTool } from './go-tools.ts';

/** The S3 servers of the tests; `npm test` finds what to build by these calls. */
const programs = {
  versitygw: () => goTool('versitygw'),
  minio: () => goTool('minio'),
  seaweedfs: () => goTool('seaweedfs'),
};
export type S3Service = keyof typeof programs;
export const s3Services = Object.keys(programs) as S3Service[];

/** A real S3 server on a free port of 127.0.0.1, shared within a process. */
export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  /** The server's data directory: versitygw has a folder for each bucket, with a file for each object. */
  readonly folder: string;
}

const credentials = { accessKeyId: 'berth-test', secretAccessKey: 'berth-test-secret' };
const startLimit = 60_000;
const servers = new Map<S3Service, Promise<S3Server>>();
let buckets = 0;

/**
 * Settings for a new, empty bucket; `undefined` if the server is not installed, and the test is skipped with the reason.
 */
export async function s3Settings(
  t: TestContext,
  more: Partial<S3Settings> = {},
  service: S3Service = 'versitygw',
): Promise<S3Settings | undefined> {
  const tool = programs[service]();
  if ('reason' in tool) {
    t.skip(tool.reason);
    return undefined;
  }
  const starting = servers.get(service) ?? start(service, tool.path);
  servers.set(service, starting);
  const { endpoint, folder } = await starting;
  buckets += 1;
  const settings: S3Settings = {
    bucket: `test-${process.pid}-${buckets}`,
    region: 'us-east-1',
    endpoint,
    pathStyle: true,
    ...credentials,
    prefix: '',
    redirectExpiry: 300_000,
  };
  if (service !== 'versitygw') {
    await createBucket(settings);
    return { ...settings, ...more };
  }
  // versitygw removes a folder with its last object, and fails a concurrent creation of another object in it.
  mkdirSync(join(folder, settings.bucket, more.prefix ?? '', 'uploads', 'kept'), { recursive: true });
  const remove = () => rmSync(join(folder, settings.bucket), { recursive: true, force: true, maxRetries: 5 });
  cleanUp(t, remove);
  return { ...settings, ...more };
}

/** Opens a store on a new bucket; closed after the test. */
export async function s3Store(
  t: TestContext,
  more: Partial<S3Settings> = {},
  service: S3Service = 'versitygw',
): Promise<BlobStore | undefined> {
  const settings = await s3Settings(t, more, service);
  if (settings === undefined) return undefined;
  const store = await openS3Store(settings);
  cleanUp(t, () => store.close());
  return store;
}

/** The directory of a bucket's objects in versitygw. */
export async function bucketFolder({ bucket }: S3Settings): Promise<string> {
  return join((await (servers.get('versitygw') as Promise<S3Server>)).folder, bucket);
}

/** Retries while the server may be starting: SeaweedFS listens before its parts are connected. */
async function createBucket({ bucket, region, endpoint }: S3Settings): Promise<void> {
  const client = new S3Client({ region, endpoint: endpoint as string, forcePathStyle: true, credentials });
  const deadline = performance.now() + startLimit;
  for (;;) {
    try {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      break;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(100);
    }
  }
  client.destroy();
}

async function start(service: S3Service, path: string): Promise<S3Server> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-s3-'));
  // For files besides the server's data.
  const aside = mkdtempSync(join(tmpdir(), 'berth-s3-aside-'));
  const port = await freePort();
  const { args, env = {} } = await commandLines[service]({ port, folder, aside });
  // Servers log each broken connection, which tests cause on purpose.
  const child = spawn(path, args, { stdio: 'ignore', env: { ...process.env, ...env } });
  process.on('exit', () => {
    child.kill('SIGKILL');
    for (const directory of [folder, aside]) rmSync(directory, { recursive: true, force: true });
  });
  // The server must not keep this process running.
  child.unref();
  const endpoint = `http://127.0.0.1:${port}`;
  await listening(child, port);
  return { endpoint, folder };
}

interface CommandLine {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The command line of each server, on a port of 127.0.0.1, with `folder` for its data and `aside` for other files. */
const commandLines: Record<
  S3Service,
  (place: { port: number; folder: string; aside: string }) => Promise<CommandLine>
> = {
  async versitygw({ port, folder, aside }) {
    const keys = ['--access', credentials.accessKeyId, '--secret', credentials.secretAccessKey];
    const listener = ['--quiet', '--keep-alive', '--port', `127.0.0.1:${port}`];
    // Metadata in separate files: not every temporary directory supports extended attributes.
    return { args: [...listener, ...keys, 'posix', '--sidecar', aside, folder] };
  },

  async minio({ port, folder }) {
    return {
      args: ['server', '--quiet', '--address', `127.0.0.1:${port}`, folder],
      env: {
        MINIO_ROOT_USER: credentials.accessKeyId,
        MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
        MINIO_BROWSER: 'off',
      },
    };
  },

  async seaweedfs({ port, folder, aside }) {
    const config = join(aside, 's3.json');
    const { accessKeyId: accessKey, secretAccessKey: secretKey } = credentials;
    const identity = { name: 'test', credentials: [{ accessKey, secretKey }], actions: ['Admin'] };
    writeFileSync(config, JSON.stringify({ identities: [identity] }));
    const parts = ['master.port', 'master.port.grpc', 'volume.port', 'volume.port.grpc', 'filer.port'];
    const flags: string[] = [];
    for (const part of [...parts, 'filer.port.grpc', 's3.port.grpc']) {
      flags.push(`-${part}=${await freePort()}`);
    }
    const listener = ['-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-s3', `-s3.port=${port}`];
    // Tests create many buckets, each with its own volume.
    const volumes = ['-master.volumeSizeLimitMB=64', '-volume.max=0'];
    return {
      args: ['server', `-dir=${folder}`, ...listener, ...flags, `-s3.config=${config}`, ...volumes],
    };
  },
};

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
