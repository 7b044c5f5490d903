import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import manifest from '../../package.json' with { type: 'json' };
import { berth } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { type Config, configSchema } from '../config/schema.ts';
import { administratorGreeting, registryName, startWarnings } from '../greeting.ts';
import type { Listening } from '../service.ts';
import { type ServeParts, serve } from './serve.ts';

const { version } = manifest;
/** All addresses of this machine. */
const anyAddress = { listen: { host: '::', port: 5000 } };
const LISTENING: Listening = { url: 'http://127.0.0.1:5000' };

/** A process that receives signals and records its exit code. */
class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];

  exit(code: number): void {
    this.exits.push(code);
  }
}

interface Options {
  config?: object;
  listen?: () => Promise<Listening>;
  close?: () => Promise<void>;
  file?: string;
}

function start({ config, listen = async () => LISTENING, close = async () => {}, file }: Options = {}) {
  const events: string[] = [];
  const process = new FakeProcess();
  const out: string[] = [];
  const createService: ServeParts['createService'] = async () => ({
    listen: () => listen().finally(() => events.push('listen')),
    close: () => {
      events.push('close');
      return close();
    },
  });
  const parsed: Config = configSchema.parse({
    data: '/srv/berth',
    log: { level: 'silent', format: 'pretty' },
    ...config,
  });
  const context = { out: (text: string) => void out.push(text) };
  const ended = serve(parsed, { createService, context, process, file });
  return { ended, events, process, out };
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} closes the app and ends the command`, async () => {
    const { ended, events, process } = start();
    await turn();
    assert.deepEqual(events, ['listen']);
    process.emit(signal, signal);
    await ended;
    assert.deepEqual(events, ['listen', 'close']);
    assert.deepEqual(process.exits, []);
    assert.deepEqual(process.eventNames(), [], 'no listener remains');
  });
}

test('a second signal ends the process now, with exit code 1, unless it comes within 100 ms of the first', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { process } = start({ close: () => new Promise(() => {}) });
  await turn();
  process.emit('SIGINT', 'SIGINT');
  t.mock.timers.tick(99);
  process.emit('SIGINT', 'SIGINT');
  assert.deepEqual(process.exits, []);
  t.mock.timers.tick(1);
  process.emit('SIGTERM', 'SIGTERM');
  assert.deepEqual(process.exits, [1]);
});

test('a signal before the app listens is not lost', async () => {
  const { promise, resolve } = Promise.withResolvers<Listening>();
  const { ended, events, process } = start({ listen: () => promise });
  process.emit('SIGTERM', 'SIGTERM');
  await turn();
  assert.deepEqual(events, []);
  resolve(LISTENING);
  await ended;
  assert.deepEqual(events, ['listen', 'close']);
});

test('when listening fails, the app is closed and the command fails with the reason', async () => {
  const { ended, events, process } = start({ listen: () => Promise.reject(new Error('in use')) });
  await assert.rejects(ended, /in use/);
  assert.deepEqual(events, ['listen', 'close']);
  assert.deepEqual(process.eventNames(), []);
});

test('an uncaught exception ends the process with exit code 1', async () => {
  const { process } = start();
  process.emit('uncaughtException', new Error('bug'), 'unhandledRejection');
  assert.deepEqual(process.exits, [1]);
});

for (const [name, config, listening, expected] of [
  [
    'a registry on this machine',
    {},
    LISTENING,
    `Berth ${version} listening on http://127.0.0.1:5000
data in /srv/berth

a first push:
  docker pull hello-world
  docker tag hello-world localhost:5000/hello
  docker push localhost:5000/hello

`,
  ],
  [
    'a registry for everyone',
    { listen: '10.0.0.1:443', anonymous: 'push' },
    { url: 'https://10.0.0.1', operationsUrl: 'http://127.0.0.1:9090' },
    `Berth ${version} listening on https://10.0.0.1
data in /srv/berth
health and metrics on http://127.0.0.1:9090

a first push:
  docker pull hello-world
  docker tag hello-world 10.0.0.1/hello
  docker push 10.0.0.1/hello

`,
  ],
  [
    'a registry with logins',
    { listen: '[::]:5000', anonymous: 'public' },
    { url: 'http://[::]:5000' },
    `Berth ${version} listening on http://[::]:5000
data in /srv/berth

to log in:
  docker login ${registryName(anyAddress, 'http://[::]:5000')}

`,
  ],
  [
    'a registry behind a proxy',
    { listen: '[::]:5000', externalUrl: 'https://registry.example.com' },
    { url: 'http://[::]:5000' },
    `Berth ${version} listening on http://[::]:5000
data in /srv/berth

to log in:
  docker login registry.example.com

`,
  ],
] as const) {
  test(`the start of ${name} prints its address, its data and a first command`, async () => {
    const { out, process, ended } = start({ config, listen: async () => listening });
    await turn();
    assert.equal(out.join(''), expected);
    process.emit('SIGTERM', 'SIGTERM');
    await ended;
  });
}

test('the start names the configuration file', async () => {
  const { out, process, ended } = start({ file: '/etc/berth/berth.yaml' });
  await turn();
  assert.match(out.join(''), /^data in \/srv\/berth\nsettings in \/etc\/berth\/berth\.yaml\n\n/m);
  process.emit('SIGTERM', 'SIGTERM');
  await ended;
});

test('an unusable address, for clients or operations, creates no files', async (t) => {
  const folder = await temporaryDirectory(t);
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  for (const flags of [
    ['--listen', taken],
    ['--listen', '192.0.2.1:5000'],
    ['--listen', '127.0.0.1:0', '--operations-listen', taken],
    ['--listen', taken, '--workers', '2'],
  ]) {
    const { exitCode, out, err } = await berth('serve', '--data', join(folder, 'data'), ...flags);
    assert.deepEqual([exitCode, out], [1, '']);
    assert.match(err, /^berth: cannot listen on (?:127\.0\.0\.1|192\.0\.2\.1):\d+: .*\n$/);
    assert.deepEqual(readdirSync(folder), [], flags.join(' '));
  }
});

const overTls = { certificate: '/c', key: '/k' };
test('prints the password of the first administrator and the remedy for a lost one', () => {
  const config = configSchema.parse({});
  const text = administratorGreeting(config, { name: 'admin', password: 'made up' });
  assert.match(
    text,
    /^ {2}password: {2}made up\nif you lose it, .*:\n {2}berth user set admin --password-stdin\n/m,
  );
});

const onAll = '0.0.0.0:5000';
for (const [what, config, warned] of [
  ['on loopback', {}, []],
  [
    'that serves everyone over HTTP',
    { listen: onAll, anonymous: 'push' },
    [/unencrypted/, /may push and delete/],
  ],
  ['that serves logins over HTTP', { listen: onAll }, [/unencrypted.*tls\.certificate.*--tls-verify=false/]],
  ['over HTTPS', { listen: onAll, tls: overTls }, []],
  ['over HTTPS, open to pushes', { listen: onAll, tls: overTls, anonymous: 'push' }, [/may push and delete/]],
  ['behind a proxy that speaks HTTPS', { listen: onAll, externalUrl: 'https://registry.example.com' }, []],
  ['behind a trusted proxy', { listen: onAll, trustedProxies: ['10.0.0.1'] }, []],
  [
    'with a plain external URL',
    { listen: onAll, externalUrl: 'http://registry.example.com' },
    [/unencrypted/],
  ],
] as [string, object, RegExp[]][]) {
  test(`the start of a registry ${what} logs ${warned.length} warnings`, () => {
    const warnings = startWarnings(configSchema.parse(config), `http://${onAll}`);
    assert.equal(warnings.length, warned.length, warnings.join('\n'));
    for (const [i, pattern] of warned.entries()) assert.match(warnings[i] as string, pattern);
  });
}

test('a registry on all addresses is announced with an address that other machines reach', () => {
  const name = registryName(anyAddress, 'http://[::]:5000');
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = own.filter(({ family, internal }) => family === 'IPv4' && !internal);
  const expected = outside.length > 0 ? outside.map(({ address }) => `${address}:5000`) : ['localhost:5000'];
  assert.ok(expected.includes(name), name);
  assert.equal(registryName(anyAddress, 'https://[::]:5000'), `${hostname()}:5000`);
});
