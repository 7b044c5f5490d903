// Parses the compose file with Compose's own parser, compares its services with each other, and runs those that can run here.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import { startChild } from '../support/child.ts';
import { run } from '../support/command.ts';
import { goTool } from '../support/go-tools.ts';
import { needs } from '../support/needs.ts';
import { startBerth } from '../support/process.ts';
import { bucketFolder, s3Settings } from '../support/s3.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const nginx = readFileSync(join(root, 'deploy/nginx.conf'), 'utf8');
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
const passwords = new Map([
  ['ADMIN_PASSWORD', 'administrator-password'],
  ['POSTGRES_PASSWORD', 'database-password'],
  ['S3_SECRET_KEY', 'bucket-secret'],
]);

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string };
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[] };
  readonly ports?: readonly { readonly host_ip: string; readonly target: number }[];
  readonly configs?: readonly { readonly source: string }[];
}

/** The services as Compose parses them, with values for the required variables, which the parser alone lacks. */
async function compose(): Promise<Record<string, Service>> {
  const tool = goTool('compose-go');
  if ('reason' in tool) throw new Error(tool.reason);
  const cwd = join(root, 'deploy');
  const json = await run(tool.path, ['-no-interpolation', '-format', 'json', 'compose.yaml'], { cwd });
  const required = /\$\{(\w+):\?see docs\/how-to\/docker\.md\}/g;
  return JSON.parse(json.replaceAll(required, (_, name) => passwords.get(name)!)).services;
}

test('Compose accepts the file', async (t) => {
  if (!needs(t, 'compose-go')) return;
  assert.deepEqual(Object.keys(await compose()).sort(), ['balancer', 'berth', 'bucket', 'postgres', 's3']);
});

test('Berth accepts the settings, which point to the other services', async (t) => {
  if (!needs(t, 'compose-go')) return;
  const { berth, postgres, s3, bucket } = await compose();
  const image = [...dockerfile.matchAll(/\b(BERTH_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]);
  const { config } = loadConfig({ env: { ...Object.fromEntries(image), ...berth!.environment } });

  const database = new URL(config.database.url!);
  assert.equal(database.hostname, 'postgres');
  assert.equal(database.username, postgres!.environment!.POSTGRES_USER);
  assert.equal(database.password, postgres!.environment!.POSTGRES_PASSWORD);
  // The image of PostgreSQL names the database after the user.
  assert.equal(database.pathname, `/${database.username}`);

  assert.equal(config.anonymous, 'public');
  assert.equal(config.admin.password, 'administrator-password');

  assert.ok(config.storage.type === 's3');
  const settings = config.storage.s3;
  const { hostname, port } = new URL(settings.endpoint!);
  assert.equal(hostname, 's3');
  assert.equal(s3!.command![s3!.command!.indexOf('--port') + 1], `:${port}`);
  assert.equal(settings.redirect, false);
  assert.equal(settings.accessKeyId, s3!.environment!.ROOT_ACCESS_KEY);
  assert.equal(settings.secretAccessKey, s3!.environment!.ROOT_SECRET_KEY);
  assert.equal(bucket!.environment!.AWS_ENDPOINT_URL, settings.endpoint);
  assert.equal(bucket!.environment!.AWS_SECRET_ACCESS_KEY, settings.secretAccessKey);
  assert.ok(bucket!.command![0]!.includes(`Bucket: '${settings.bucket}'`));

  assert.match(nginx, new RegExp(`http://berth:${config.listen.port};`));
});

test('services wait for existing health checks, and ports are open to this machine only', async (t) => {
  if (!needs(t, 'compose-go')) return;
  const services = await compose();
  for (const [name, { depends_on: needed = {} }] of Object.entries(services)) {
    for (const [other, { condition }] of Object.entries(needed)) {
      if (condition !== 'service_healthy') continue;
      const { build, healthcheck } = services[other]!;
      const checked = healthcheck?.test ?? (build && /^HEALTHCHECK /m.test(dockerfile));
      assert.ok(checked, `${name} waits for ${other}`);
    }
  }
  const published = Object.values(services).flatMap(({ ports = [] }) => ports);
  assert.deepEqual(
    published.map(({ host_ip }) => host_ip),
    ['127.0.0.1'],
  );
  assert.match(nginx, new RegExp(`listen ${published[0]!.target};`));
});

test('creates the bucket, and keeps it at the next start', async (t) => {
  if (!needs(t, 'compose-go')) return;
  const server = await s3Settings(t);
  if (!server) return;
  const { bucket } = await compose();
  const [node, ...args] = [...bucket!.entrypoint!, ...bucket!.command!];
  assert.equal(node, 'node');
  const env = {
    ...bucket!.environment,
    AWS_ENDPOINT_URL: server.endpoint,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
  };
  for (const _ of ['made', 'left']) await run(process.execPath, args, { cwd: root, env });
  assert.ok(existsSync(join(dirname(await bucketFolder(server)), 'berth')));
  await assert.rejects(
    run(process.execPath, args, { cwd: root, env: { ...env, AWS_SECRET_ACCESS_KEY: 'wrong' } }),
    /SignatureDoesNotMatch/,
  );
});

test('the balancer’s configuration points to Berth', async (t) => {
  if (!needs(t, 'nginx')) return;
  const berth = await startBerth(t);
  const directory = await temporaryDirectory(t);
  const socket = join(directory, 'socket');
  const here = nginx.replace('listen 5000', `listen unix:${socket}`).replace('berth:5000', berth.host);
  const config = join(directory, 'nginx.conf');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/${name};`,
  );
  const http = `http { access_log off; ${paths.join(' ')}\n${here}}`;
  await writeFile(
    config,
    `daemon off; master_process off; pid ${directory}/pid; error_log stderr notice; events {}\n${http}`,
  );
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const args = ['-p', directory, '-c', config, '-e', 'stderr'];
  await startChild(t, { command: 'nginx', args, env, ready: /event method/ });

  const ask = async (path: string) => {
    const [answer] = (await once(get({ socketPath: socket, path }), 'response')) as [IncomingMessage];
    return { status: answer.statusCode, body: await text(answer) };
  };
  assert.equal((await ask('/v2/')).status, 200);
  // The URL of Compose's health check of the balancer.
  assert.equal((await ask('/auth/token?service=berth')).status, 200);
  const { body } = await ask('/v2/a/b/tags/list?n=none');
  assert.equal(JSON.parse(body).errors[0].code, 'PAGINATION_NUMBER_INVALID', 'path and query arrive');
  assert.equal((await ask('/metrics')).status, 404);
});
